-- Fewer indexes to keep where a row is changed: what is found without one is looked for now and then, in what a window holds.
ALTER TABLE candist.waiting DROP CONSTRAINT waiting_pkey;
ALTER TABLE candist.waiting ADD PRIMARY KEY (key, attempt, run);
DROP INDEX candist.waiting_key;
DROP INDEX candist.questions_taken;

-- What a worker spent is counted beside what it holds, so that settling waits for no other worker. A run has spent that of all its
-- workers and what is counted besides: before it was shared, and for workers that were given up. A worker of an older version, which would
-- grant itself what others spent, finds the column no more, and ends.
ALTER TABLE candist.grants ADD COLUMN spent numeric NOT NULL DEFAULT 0;
ALTER TABLE candist.runs RENAME COLUMN spent TO spent_besides;

-- Packed with zstd by who sends them, which an older version would take for the bytes themselves.
ALTER TABLE candist.pieces RENAME COLUMN bytes TO content;
ALTER TABLE candist.pieces ADD COLUMN packed boolean NOT NULL DEFAULT false;
ALTER TABLE candist.pieces ALTER COLUMN content SET STORAGE EXTERNAL;
