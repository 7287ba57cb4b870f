-- Every statement of the ledger: a name, a sentence, the SQL.

-- begin --
-- Take the writer's place at once, so that a transaction can't fail half-way because somebody else writes.
BEGIN IMMEDIATE;

-- seal_batch --
-- A new batch; one of this id that stands already is looked at by hand.
INSERT INTO batches (batch_id, parent_id, state, attempt, dispatch, interruptions, tries, cut, sealed_because, sealed_at,
                     total_bytes, n_files, changed_at)
VALUES (:batch_id, :parent_id, :state, :attempt, :dispatch, :interruptions, :tries, :cut, :sealed_because, :sealed_at,
        :total_bytes, :n_files, :sealed_at)
ON CONFLICT (batch_id) DO NOTHING;

-- seal_members --
-- The files of the batch that was inserted just now.
INSERT INTO members (number, files) VALUES (:number, :files);

-- move_batch --
-- Move a batch from one state to the next. No row changed means that it isn't where the caller believes.
UPDATE batches
   SET state = :now, attempt = :attempt, dispatch = :dispatch, interruptions = :interruptions, tries = :tries, cut = :cut,
       changed_at = :at, outcome = coalesce(:outcome, outcome), worker_id = coalesce(:worker_id, worker_id),
       started_at = coalesce(started_at, :started_at), failure = coalesce(:failure, failure)
 WHERE batch_id = :batch_id AND state = :was;

-- note_receipt --
-- What came of a batch that is committed; an earlier attempt's failure is history by now.
UPDATE batches
   SET committed_at = :at, rows = :rows, succeeded = :succeeded, failed = max(n_files - :succeeded, 0), failure = NULL
 WHERE batch_id = :batch_id;

-- note_all_failed --
-- Nothing came of a batch that is set aside.
UPDATE batches SET rows = 0, succeeded = 0, failed = n_files WHERE batch_id = :batch_id;

-- change_members --
-- Other files, or other identities of the same files.
UPDATE members SET files = :files WHERE number = (SELECT number FROM batches WHERE batch_id = :batch_id);

-- change_figures --
-- The figures that go with changed members.
UPDATE batches SET n_files = :n_files, total_bytes = :total_bytes WHERE batch_id = :batch_id;

-- standing_batch --
-- Where a batch is, for a caller that believed it elsewhere.
SELECT state, attempt, dispatch, files FROM batches JOIN members USING (number) WHERE batch_id = :batch_id;

-- note_history --
-- One thing worth telling in a batch's life.
INSERT INTO history (batch_id, at, event, attempt, dispatch, worker_id, detail)
VALUES (:batch_id, :at, :now, :attempt, :dispatch, :worker_id, :detail);

-- skip_files --
-- Files that policy refused.
INSERT INTO skipped (skip_id, at, n_files, files) VALUES (:skip_id, :at, :n_files, :files)
ON CONFLICT (skip_id) DO NOTHING;

-- standing_skip --
-- What was listed under this id before.
SELECT files FROM skipped WHERE skip_id = :skip_id;

-- grow_schema --
-- A column of the output; the first type of a name wins.
INSERT OR IGNORE INTO output_schema (name, type) VALUES (:name, :type);

-- schema --
-- The output's columns in the order in which they came.
SELECT name, type FROM output_schema ORDER BY position;

-- count --
-- Add to a figure that only grows.
INSERT INTO counters (name, value) VALUES (:name, :by)
ON CONFLICT (name) DO UPDATE SET value = value + :by;

-- counters --
-- All of them.
SELECT name, value FROM counters ORDER BY name;

-- set_meta --
-- A fact about the deployment itself.
INSERT INTO meta (key, value) VALUES (:key, :value)
ON CONFLICT (key) DO UPDATE SET value = :value;

-- get_meta --
-- A fact about the deployment itself.
SELECT value FROM meta WHERE key = :key;

-- all_meta --
-- Every fact about the deployment itself.
SELECT key, value FROM meta ORDER BY key;

-- open_batches --
-- Every batch to which something is owed, oldest first.
SELECT batch_id, state, attempt, dispatch, interruptions, tries, cut, sealed_because, sealed_at, total_bytes, files
  FROM batches JOIN members USING (number)
 WHERE state NOT IN ('released', 'void')
 ORDER BY number;

-- any_batch --
-- One batch whatever its state, told as `open_batches` does.
SELECT batch_id, state, attempt, dispatch, interruptions, tries, cut, sealed_because, sealed_at, total_bytes, files
  FROM batches JOIN members USING (number)
 WHERE batch_id = :batch_id;

-- failure_of --
-- Why a batch failed last.
SELECT failure FROM batches WHERE batch_id = :batch_id;

-- counts --
-- Batches and files by state and outcome.
SELECT state, coalesce(outcome, '') AS outcome, count(*) AS batches, sum(n_files) AS files
  FROM batches GROUP BY state, outcome ORDER BY state, outcome;

-- last_batches --
-- The newest batches, newest first.
SELECT * FROM batches ORDER BY number DESC LIMIT :limit;

-- one_batch --
-- One batch.
SELECT * FROM batches WHERE batch_id = :batch_id;

-- halves_of --
-- What a batch was split into.
SELECT * FROM batches WHERE parent_id = :batch_id ORDER BY batch_id;

-- members_of --
-- The files of one batch.
SELECT files FROM members WHERE number = (SELECT number FROM batches WHERE batch_id = :batch_id);

-- quarantined --
-- The batches that were set aside, newest first.
SELECT * FROM batches WHERE outcome = 'quarantined' ORDER BY number DESC LIMIT :limit;

-- find_members --
-- Batches whose files may include a name, oldest first; the caller looks closely.
SELECT number, files FROM members WHERE instr(files, :needle) > 0 ORDER BY number;

-- batch_number --
-- One batch by its row.
SELECT * FROM batches WHERE number = :number;

-- history_of --
-- What is told of one batch, in order.
SELECT at, event, attempt, dispatch, worker_id, detail FROM history WHERE batch_id = :batch_id ORDER BY number;

-- last_skipped --
-- What was skipped, newest first.
SELECT skip_id, at, n_files, files FROM skipped ORDER BY number DESC LIMIT :limit;

-- find_skipped --
-- Skips whose files may include a name, oldest first; the caller looks closely.
SELECT skip_id, at, n_files, files FROM skipped WHERE instr(files, :needle) > 0 ORDER BY number;
