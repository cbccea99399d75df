-- What several machines share of runs. What is written for every question has no foreign keys: each would lock the run's row. Texts, ids and keys are bytes: a text may hold what the database's text may not.
CREATE SCHEMA IF NOT EXISTS candist;

-- "id" tells databases apart, whatever address leads to them.
CREATE TABLE candist.version (step int NOT NULL, id uuid NOT NULL DEFAULT gen_random_uuid());
INSERT INTO candist.version (step) VALUES (0);

CREATE TABLE candist.runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL UNIQUE,
    -- What workers ask by; its files are in "files".
    setup text NOT NULL,
    cap numeric,
    spent numeric NOT NULL DEFAULT 0,
    -- Why nothing may be asked any more, until the next trainer: the cap.
    stopped text,
    -- When a worker last found no money left while others held some.
    wanted timestamptz,
    -- No question follows those that are there.
    asked_all boolean NOT NULL DEFAULT false,
    -- The corpus came to its end.
    complete boolean NOT NULL DEFAULT false
);

-- The lease of the process that trains, apart from "runs", which workers update.
CREATE TABLE candist.trainers (
    run bigint PRIMARY KEY REFERENCES candist.runs ON DELETE CASCADE,
    epoch bigint NOT NULL,
    name text NOT NULL,
    -- By these a process of the same machine can tell whether it still is.
    machine text NOT NULL,
    process bigint NOT NULL,
    -- The last heartbeat; null after a clean end.
    seen timestamptz
);

CREATE TABLE candist.files (hash bytea PRIMARY KEY, bytes bytea NOT NULL);

CREATE TABLE candist.workers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name text NOT NULL,
    machine text NOT NULL,
    process bigint NOT NULL,
    seen timestamptz NOT NULL DEFAULT now(),
    -- It ended, or was given up: it claims nothing any more.
    gone boolean NOT NULL DEFAULT false
);

-- Money of a run's budget that a worker holds, and what it said that it has spent since it began.
CREATE TABLE candist.grants (
    run bigint NOT NULL REFERENCES candist.runs ON DELETE CASCADE,
    worker bigint NOT NULL REFERENCES candist.workers ON DELETE CASCADE,
    amount numeric NOT NULL DEFAULT 0,
    reported numeric NOT NULL DEFAULT 0,
    -- Of what a worker that was given up may still say that it has spent, what is counted already.
    lost numeric NOT NULL DEFAULT 0,
    PRIMARY KEY (run, worker)
);

CREATE TABLE candist.problems (
    run bigint NOT NULL REFERENCES candist.runs ON DELETE CASCADE,
    worker bigint NOT NULL REFERENCES candist.workers ON DELETE CASCADE,
    teacher text NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (run, worker, teacher)
);

-- To be asked, or being asked: what the window of a trainer holds, never a whole corpus.
CREATE TABLE candist.questions (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL,
    -- Of the trainer that posted it: workers ask by what it set up.
    epoch bigint NOT NULL,
    teacher text NOT NULL,
    key bytea NOT NULL,
    attempt int NOT NULL,
    draw int NOT NULL,
    id bytea NOT NULL,
    text bytea NOT NULL,
    worker bigint,
    UNIQUE (key, attempt)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX questions_open ON candist.questions (run, epoch, teacher, seq) WHERE worker IS NULL;
CREATE INDEX questions_taken ON candist.questions (worker) WHERE worker IS NOT NULL;

-- Who waits for an answer: the same question may be of several runs.
CREATE TABLE candist.waiting (
    run bigint NOT NULL,
    key bytea NOT NULL,
    attempt int NOT NULL,
    ready boolean NOT NULL DEFAULT false,
    -- Why there is none.
    failure text,
    PRIMARY KEY (run, key, attempt)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000);
CREATE INDEX waiting_key ON candist.waiting (key, attempt);
CREATE INDEX waiting_ready ON candist.waiting (run) WHERE ready;

-- What was paid for, for good: a line of answers.jsonl each.
CREATE TABLE candist.answers (
    key bytea NOT NULL,
    attempt int NOT NULL,
    line text NOT NULL,
    -- The run that paid; null where it came by import.
    run bigint,
    at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, attempt)
);

-- What is sent to a model at an address is limited by the minute; a pause is the address' own.
CREATE TABLE candist.places (
    place text PRIMARY KEY,
    paused_until timestamptz
);
CREATE TABLE candist.quotas (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    place text NOT NULL,
    at timestamptz NOT NULL,
    requests bigint NOT NULL,
    tokens bigint NOT NULL
);
CREATE INDEX quotas_place ON candist.quotas (place, at);

-- A run directory's logs as its trainer has them, in pieces, for whoever looks from elsewhere. Another generation begins where a log
-- is another: other settings, another trainer's directory.
CREATE TABLE candist.logs (
    run bigint NOT NULL REFERENCES candist.runs ON DELETE CASCADE,
    file text NOT NULL,
    generation bigint NOT NULL,
    size bigint NOT NULL,
    -- CRC-32 of all of it.
    crc bigint NOT NULL,
    PRIMARY KEY (run, file)
);
CREATE TABLE candist.pieces (
    run bigint NOT NULL REFERENCES candist.runs ON DELETE CASCADE,
    file text NOT NULL,
    generation bigint NOT NULL,
    begins bigint NOT NULL,
    bytes bytea NOT NULL,
    PRIMARY KEY (run, file, generation, begins)
);

-- Labels that people gave from elsewhere, as lines of corrections.jsonl, until the trainer has kept them.
CREATE TABLE candist.said (
    seq bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL REFERENCES candist.runs ON DELETE CASCADE,
    line text NOT NULL
);
CREATE INDEX said_run ON candist.said (run, seq);
