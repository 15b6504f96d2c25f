"""The one writer: MQTT in, one transaction a cycle, acknowledgement after the commit."""
