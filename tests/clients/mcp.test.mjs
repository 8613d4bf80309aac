// `cellule mcp` with the Model Context Protocol's own SDK and conformance tests, and by hand where those are too polite.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { createInterface } from 'node:readline';
import test from 'node:test';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPServerTransport } from '@modelcontextprotocol/sdk/server/streamableHttp.js';
import { binary } from './site.mjs';

const environment = Object.fromEntries(
  ['CELLULE_URL', 'CELLULE_CA', 'CELLULE_KEY', 'HOME', 'PATH', 'ASAN_OPTIONS', 'LSAN_OPTIONS']
    .filter((name) => process.env[name] !== undefined).map((name) => [name, process.env[name]]));
const stdio = () => new StdioClientTransport({ command: binary, args: ['mcp'], env: environment, stderr: 'pipe' });

async function connected(t) {
  const client = new Client({ name: 'test', version: '1.0.0' });
  await client.connect(stdio());
  t.after(() => client.close());
  return client;
}

// One server spoken to in raw lines.
class Lines {
  constructor(t) {
    this.child = spawn(binary, ['mcp'], { env: environment, stdio: ['pipe', 'pipe', 'ignore'] });
    this.lines = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.ended = new Promise((resolve) => { this.child.on('exit', resolve); });
    t.after(() => this.child.kill());
  }

  write(value) {
    this.child.stdin.write(`${typeof value === 'string' ? value : JSON.stringify(value)}\n`);
  }

  async read() {
    const { value, done } = await this.lines.next();
    return done ? undefined : JSON.parse(value);
  }

  async ask(value) {
    this.write(value);
    return this.read();
  }

  initialize(protocolVersion = '2025-06-18') {
    return this.ask({
      jsonrpc: '2.0', id: 'begin', method: 'initialize',
      params: { protocolVersion, capabilities: {}, clientInfo: { name: 'test', version: '1' } },
    });
  }
}

const call = (id, name, args) => ({ jsonrpc: '2.0', id, method: 'tools/call', params: { name, arguments: args } });

test('the SDK sees four tools, and which of them destroy something', async (t) => {
  const client = await connected(t);
  const { tools } = await client.listTools();
  assert.deepEqual(tools.map((tool) => tool.name).sort(), ['memory_add', 'memory_forget', 'memory_list', 'memory_search']);
  for (const tool of tools) {
    assert.equal(tool.inputSchema.type, 'object');
    assert.ok(tool.description.length > 20);
    assert.equal(tool.annotations.readOnlyHint, ['memory_list', 'memory_search'].includes(tool.name));
    assert.equal(tool.annotations.destructiveHint, tool.name === 'memory_forget');
    assert.equal(tool.annotations.openWorldHint, false);
  }
  await client.ping();
});

test('a fact is added, found, listed and forgotten', async (t) => {
  const client = await connected(t);
  await client.listTools(); // so that the SDK holds results against the schemas
  const text = `My boat is called ${randomUUID()}`;
  const added = await client.callTool({ name: 'memory_add', arguments: { text } });
  const { id } = added.structuredContent;
  assert.equal(added.structuredContent.text, text);
  assert.deepEqual(JSON.parse(added.content[0].text), added.structuredContent);
  const found = await client.callTool({ name: 'memory_search', arguments: { query: text, limit: 1 } });
  assert.equal(found.structuredContent.facts[0].id, id);
  assert.ok(found.structuredContent.facts[0].score > 0.9);
  const all = [];
  for (let more = true; more;) {
    const page = await client.callTool({ name: 'memory_list', arguments: { limit: 1, ...(all.length ? { after: all.at(-1).id } : {}) } });
    all.push(...page.structuredContent.facts);
    more = page.structuredContent.has_more;
  }
  assert.ok(all.some((fact) => fact.text === text));
  assert.deepEqual((await client.callTool({ name: 'memory_forget', arguments: { id } })).structuredContent, { id, forgotten: true });
  const again = await client.callTool({ name: 'memory_forget', arguments: { id } });
  assert.equal(again.isError, true);
  assert.match(again.content[0].text, /no such fact/);
});

test('what is misused is an error of the protocol', async (t) => {
  const client = await connected(t);
  for (const params of [{ name: 'nothing', arguments: {} }, { name: 'memory_add', arguments: {} },
    { name: 'memory_add', arguments: { text: '' } }, { name: 'memory_add', arguments: { text: 7 } },
    { name: 'memory_add', arguments: { text: 'x'.repeat(8193) } }, { name: 'memory_add', arguments: { text: 'x', more: 1 } },
    { name: 'memory_search', arguments: { query: 'x', limit: 33 } }, { name: 'memory_search', arguments: { query: 'x', limit: '3' } },
    { name: 'memory_forget', arguments: { id: '../facts' } }, { name: 'memory_list', arguments: { after: 'x' } }]) {
    await assert.rejects(client.callTool(params), (error) => error.code === -32602, JSON.stringify(params));
  }
  await assert.rejects(client.listResources(), /not support|-32601|Method/);
});

test('each version that is asked for is spoken, and the newest offered in place of others', async (t) => {
  for (const version of ['2024-11-05', '2025-03-26', '2025-06-18']) {
    const server = new Lines(t);
    assert.equal((await server.initialize(version)).result.protocolVersion, version);
  }
  const server = new Lines(t);
  const { result } = await server.initialize('1999-01-01');
  assert.equal(result.protocolVersion, '2025-06-18');
  assert.equal(result.serverInfo.name, 'cellule');
  assert.ok(result.capabilities.tools);
});

test('lines that are no requests get the errors that JSON-RPC has for them', async (t) => {
  const server = new Lines(t);
  assert.equal((await server.ask({ jsonrpc: '2.0', id: 1, method: 'tools/list' })).error.code, -32600, 'not initialized');
  assert.deepEqual((await server.ask({ jsonrpc: '2.0', id: 2, method: 'ping' })).result, {});
  await server.initialize();
  server.write({ jsonrpc: '2.0', method: 'notifications/initialized' });
  server.write('');
  server.write({ jsonrpc: '2.0', method: 'nobody/knows' });
  server.write({ jsonrpc: '2.0', id: 9, result: {} });
  for (const [line, code, id] of [['nonsense', -32700, null], ['{"jsonrpc":"2.0"', -32700, null], ['{}', -32600, null],
    ['{"jsonrpc":"1.0","id":3,"method":"ping"}', -32600, 3], ['{"jsonrpc":"2.0","id":null,"method":"ping"}', -32600, null],
    ['{"jsonrpc":"2.0","id":4.5,"method":"ping"}', -32600, null], ['{"jsonrpc":"2.0","id":5,"method":7}', -32600, 5],
    ['{"jsonrpc":"2.0","id":"6","method":"nobody/knows"}', -32601, '6'],
    ['{"jsonrpc":"2.0","id":7,"method":"ping","params":[1]}', -32602, 7],
    ['{"jsonrpc":"2.0","id":8,"method":"tools/call"}', -32602, 8],
    ['{"jsonrpc":"2.0","id":8,"method":"tools/list","params":{"cursor":"x"}}', -32602, 8],
    [`"${'x'.repeat(1048577)}"`, -32700, null], [`${'['.repeat(500)}`, -32700, null]]) {
    const answer = await server.ask(line);
    assert.equal(answer.error?.code, code, line.slice(0, 80));
    assert.equal(answer.id, id, line.slice(0, 80));
  }
  assert.deepEqual((await server.ask({ jsonrpc: '2.0', id: 10, method: 'ping' })).result, {}, 'it goes on');
});

test('batches are answered where the version has them', async (t) => {
  const batch = [{ jsonrpc: '2.0', id: 1, method: 'ping' }, { jsonrpc: '2.0', method: 'notifications/x' },
    { jsonrpc: '2.0', id: 2, method: 'no' }];
  const old = new Lines(t);
  await old.initialize('2025-03-26');
  const answers = await old.ask(batch);
  assert.deepEqual(answers.map((answer) => [answer.id, answer.error?.code]), [[1, undefined], [2, -32601]]);
  old.write([{ jsonrpc: '2.0', method: 'notifications/x' }]);
  assert.equal((await old.ask([])).error.code, -32600);
  const later = new Lines(t);
  await later.initialize();
  assert.equal((await later.ask(batch)).error.code, -32600);
});

test('what is cancelled before its turn is neither done nor answered', async (t) => {
  const server = new Lines(t);
  const text = `Never said ${randomUUID()}`;
  await server.initialize();
  const lines = [call(1, 'memory_list', { limit: 1 }), call('two', 'memory_add', { text }),
    { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'two' } },
    { jsonrpc: '2.0', method: 'notifications/cancelled', params: { requestId: 'unknown' } },
    { jsonrpc: '2.0', method: 'notifications/cancelled' }, call(3, 'memory_search', { query: text, limit: 1 })];
  server.child.stdin.write(`${lines.map((line) => JSON.stringify(line)).join('\n')}\n`);
  assert.equal((await server.read()).id, 1);
  const last = await server.read();
  assert.equal(last.id, 3);
  assert.ok(!JSON.stringify(last).includes(text));
});

test('it ends with its input', async (t) => {
  const server = new Lines(t);
  await server.initialize();
  server.child.stdin.end('{"jsonrpc":"2.0","id":1,"method":"ping"}');
  assert.equal((await server.read()).id, 1, 'the last line may lack its end');
  assert.equal(await server.read(), undefined);
  assert.equal(await server.ended, 0);
});

// The conformance tests speak HTTP: a bridge passes each message on as it is.
async function bridged(t) {
  const sessions = new Map();
  const open = async () => {
    const child = stdio();
    const transport = new StreamableHTTPServerTransport({
      sessionIdGenerator: randomUUID, onsessioninitialized: (id) => sessions.set(id, { transport, child }),
    });
    transport.onmessage = (message) => child.send(message);
    child.onmessage = (message) => transport.send(message);
    transport.onclose = () => child.close();
    await child.start();
    await transport.start();
    return transport;
  };
  const http = createServer(async (request, response) => {
    const known = sessions.get(request.headers['mcp-session-id']);
    const transport = known ? known.transport : await open();
    await transport.handleRequest(request, response);
  });
  await new Promise((resolve) => { http.listen(0, '127.0.0.1', resolve); });
  t.after(async () => {
    http.closeAllConnections();
    http.close();
    await Promise.all([...sessions.values()].map(({ child }) => child.close()));
  });
  return `http://127.0.0.1:${http.address().port}/mcp`;
}

const scenarios = ['server-initialize', 'ping', 'tools-list'];

test('the conformance tests that a server with tools alone can take pass', async (t) => {
  const url = await bridged(t);
  for (const scenario of scenarios) {
    const child = spawn('node', ['node_modules/@modelcontextprotocol/conformance/dist/index.js', 'server', '--url', url,
      '--scenario', scenario], { stdio: ['ignore', 'pipe', 'pipe'] });
    let said = '';
    child.stdout.on('data', (data) => { said += data; });
    child.stderr.on('data', (data) => { said += data; });
    const code = await new Promise((resolve) => { child.on('close', resolve); });
    assert.equal(code, 0, `${scenario}: ${said}`);
    assert.match(said, /SUCCESS|Passed: [1-9]/, scenario);
  }
});
