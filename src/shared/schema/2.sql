-- Fewer indexes to keep where a row is changed: what is found without one is looked for now and then, in what a window holds.
ALTER TABLE candist.waiting DROP CONSTRAINT waiting_pkey;
ALTER TABLE candist.waiting ADD PRIMARY KEY (key, attempt, run);
DROP INDEX candist.waiting_key;
DROP INDEX candist.questions_taken;

-- What a worker spent is counted beside what it holds, so that settling waits for no other worker. A run has spent what is counted for
-- it and for all its workers.
ALTER TABLE candist.grants ADD COLUMN spent numeric NOT NULL DEFAULT 0;

-- Packed with zstd by who sends them.
ALTER TABLE candist.pieces ADD COLUMN packed boolean NOT NULL DEFAULT false;
ALTER TABLE candist.pieces ALTER COLUMN bytes SET STORAGE EXTERNAL;
