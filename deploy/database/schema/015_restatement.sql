-- Readers ask for the restatements of some tags and a time: without this they read all there ever were.
CREATE INDEX restatement_tag ON restatement (tag_id, stop);
