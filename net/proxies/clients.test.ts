import { expect, test } from 'bun:test';
import { chainsIn, parseClients, parseSeats, readClients, thoseWithSeats } from './clients.ts';

const info = '{"metainfo": {"version": "1.0.6"}}';
const set = (elements: string) =>
  `{"nftables": [${info}, {"set": {"family": "ip", "name": "sticky1", "table": "t", "elem": [${elements}]}}]}`;
const member = '{"elem": {"val": {"concat": ["10.0.0.9", "10.96.0.1", "tcp", 80]}, "timeout": 60, "expires": 12}}';
const seat = (place: number, ip: string) =>
  `[{"concat": ["10.96.0.1", "tcp", 80, ${place}]}, {"concat": ["${ip}", 8080]}]`;
const map = (...elements: string[]) => `{"nftables": [${info}, {"map": {"name": "seats", "elem": [${elements}]}}]}`;

test('clients come with the time that they have left', () => {
  const clients = parseClients(`${set(member)}\n${set('')}\n`);
  expect(clients).toEqual([{ in: 'sticky1', key: '10.0.0.9 . 10.96.0.1 . tcp . 80 timeout 60s expires 12s' }]);
  expect(thoseWithSeats({ clients, seats: new Map() }, 2)).toEqual(clients);
  expect(thoseWithSeats({ clients, seats: new Map() }, 1)).toEqual([]);
});
test('seats by address, near ones and far ones', () => {
  const text = map(seat(1, '10.1.0.2'), seat(0, '10.1.0.1'), seat(65_536, '10.1.0.3'));
  expect([...parseSeats(text)]).toEqual([
    ['10.96.0.1 . tcp . 80 . 0', ['10.1.0.1 . 8080', '10.1.0.2 . 8080']],
    ['10.96.0.1 . tcp . 80 . 65536', ['10.1.0.3 . 8080']],
  ]);
  expect([...parseSeats(map(seat(1, '10.1.0.2')))]).toEqual([]);
});
test('chains of one table say how many seats there are', async () => {
  const chain = (table: string, name: string) =>
    `{"chain": {"family": "ip", "table": "${table}", "name": "${name}", "handle": 3}}`;
  const text = `{"nftables": [${info}, ${chain('t', 'translate')}, ${chain('t', 'pickSeat0t60')}, ${chain('u', 'pickSeat7t60')}]}\n`;
  expect(chainsIn(text, 't')).toEqual(['translate', 'pickSeat0t60']);
  const asked: string[] = [];
  const nft = async (argv: readonly string[]) => {
    asked.push(argv.slice(2).join(' '));
    return argv.includes('chains') ? text : argv.includes('set') ? set(member) : map(seat(0, '10.1.0.1'));
  };
  const remembered = await readClients(nft, 4, 't');
  expect([remembered.clients.length, remembered.seats.size]).toEqual([1, 1]);
  expect(asked).toEqual(['chains ip', 'set ip t sticky0', 'map ip t seats', 'map ip t portSeats']);
});
test('a table that is not there, or that we do not understand, remembers nobody', async () => {
  const none = { clients: [], seats: new Map() };
  expect(await readClients(() => Promise.reject(new Error('No such file or directory')), 4, 't')).toEqual(none);
  expect(await readClients(() => Promise.resolve('{"nftables": "?"}'), 4, 't')).toEqual(none);
});
