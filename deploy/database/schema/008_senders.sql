-- Refused payloads by enterprise, so that none has room that belongs to another.

-- Empty: of nobody in particular.
ALTER TABLE reject ADD COLUMN enterprise text NOT NULL DEFAULT '';
CREATE INDEX reject_enterprise ON reject (enterprise, id);
CREATE INDEX quarantine_sample_enterprise ON quarantine_sample (enterprise, id);
