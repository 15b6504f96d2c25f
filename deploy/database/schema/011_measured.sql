-- What a monitor has measured of an hour, apart from what its last value was held for: the minutes with
-- a normal sample of their own, and the mean over them. NULL in hours summed before.
ALTER TABLE hour ADD COLUMN measured int, ADD COLUMN measured_mean float8;
