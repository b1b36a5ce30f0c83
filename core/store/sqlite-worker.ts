import { parentPort } from 'node:worker_threads';
import { assert } from '#base';
import { SqliteDatabase } from './sqlite-database.ts';
import {
  type Answer,
  type Packed,
  packResults,
  packRows,
  type Question,
  toFailure,
  unpackOperations,
} from './sqlite-message.ts';

/** The thread that owns the file: bun:sqlite is synchronous, and a stalled disk must not stop the loop that answers health checks. */
let database: SqliteDatabase | undefined;

function answer(question: Question): Packed | undefined {
  if (question.type === 'open') {
    database = new SqliteDatabase(question.path);
    return undefined;
  }
  assert(database, 'the store was asked before it was opened');
  switch (question.type) {
    case 'write':
      return packResults(database.write(unpackOperations(question.packed), question.nowMs));
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
      database.compact(question.before);
      return undefined;
    case 'close':
      database.close();
      return undefined;
  }
}

parentPort!.on('message', ({ id, question }: { id: number; question: Question }) => {
  try {
    const packed = answer(question);
    const reply: Answer = { id, version: database?.version ?? 0, packed };
    parentPort!.postMessage(reply, packed ? [packed.bytes] : []);
  } catch (error) {
    const reply: Answer = { id, failure: toFailure(error) };
    parentPort!.postMessage(reply);
  }
  // After the answer: writing 16 MiB must not delay the start.
  if (question.type === 'open') database?.prepareBallast();
});
