#!/usr/bin/env bun
import { run } from '../../core/cmd/cli.ts';
import { catalog } from './catalog.ts';

await run(process.argv.slice(2), catalog);
