import { assert } from '#base';
import { putResults, Region, resultsBytes, takeOperations } from './sqlite-channel.ts';
import { SqliteDatabase } from './sqlite-database.ts';
import {
  type Answer,
  type Packed,
  packRows,
  type Question,
  type ToThread,
  toFailure,
  writeId,
} from './sqlite-message.ts';

declare const self: Worker;

/** The thread that owns the file: bun:sqlite is synchronous, and a stalled disk must not stop the loop that answers health checks. */
let database: SqliteDatabase | undefined;
let region = Region.of(0);

function write(nowMs: number): number {
  assert(database, 'the store was asked before it was opened');
  const results = database.write(takeOperations(region), nowMs);
  const fitting = region.fit(resultsBytes(results));
  if (fitting !== region) self.postMessage({ region: fitting.shared });
  region = fitting;
  putResults(region, results);
  return database.version;
}

function answer(question: Question): Packed | undefined {
  if (question.type === 'open') {
    database = new SqliteDatabase(question.path);
    return undefined;
  }
  assert(database, 'the store was asked before it was opened');
  switch (question.type) {
    case 'get': {
      const row = database.get(question.key);
      return packRows(row ? [row] : [], database.version);
    }
    case 'list':
      return packRows(
        database.list(question.prefix, question.after, question.limit, question.at),
        question.at ?? database.version,
      );
    case 'changes': {
      const { rows, through } = database.changes(question.prefix, question.since, question.rowsMax, question.bytesMax);
      return packRows(rows, through);
    }
    case 'compact':
      return packRows([], Number(database.compact(question.before)));
    case 'epoch':
      database.newEpoch(question.above);
      return undefined;
    case 'close':
      database.close();
      return undefined;
  }
}

self.addEventListener('message', ({ data }: MessageEvent<ToThread>) => {
  if (typeof data === 'number') {
    try {
      self.postMessage(write(data));
    } catch (error) {
      self.postMessage({ id: writeId, failure: toFailure(error) } satisfies Answer);
    }
    return;
  }
  if ('region' in data) {
    region = new Region(data.region);
    return;
  }
  const { id, question } = data;
  try {
    const packed = answer(question);
    const reply: Answer = { id, version: database?.version ?? 0, packed };
    self.postMessage(reply, packed ? [packed.bytes] : []);
  } catch (error) {
    const reply: Answer = { id, failure: toFailure(error) };
    self.postMessage(reply);
  }
  // After the answer: writing 16 MiB must not delay the start.
  if (question.type === 'open') database?.prepareBallast();
});
