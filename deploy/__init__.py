"""Everything that puts parktwin on a machine: schema, example parks, services, command line."""
