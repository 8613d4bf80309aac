// The official `openai` SDK, unchanged: only the base URL and the key differ from its defaults.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { baseURL, embedder, exact, key, model, question } from './site.mjs';

const client = new OpenAI({ baseURL, apiKey: key, maxRetries: 0 });

async function collect(stream) {
  const chunks = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
  }
  return chunks;
}

const textOf = (chunks) => chunks.map((chunk) => chunk.choices[0]?.delta?.content ?? '').join('');

test('models are listed and can be asked for by name', async () => {
  const listed = await collect(client.models.list());
  const found = listed.find((entry) => entry.id === model);
  assert.equal(found?.object, 'model');
  assert.equal(typeof found.created, 'number');
  assert.equal(typeof found.owned_by, 'string');
  assert.equal((await client.models.retrieve(model)).id, model);
});

test('an answer has an id, a reason to end and a usage that adds up', async () => {
  const answer = await client.chat.completions.create(exact);
  assert.equal(answer.object, 'chat.completion');
  assert.match(answer.id, /^chatcmpl-/);
  assert.equal(answer.model, model);
  assert.equal(answer.choices.length, 1);
  assert.equal(answer.choices[0].index, 0);
  assert.equal(answer.choices[0].message.role, 'assistant');
  assert.ok(answer.choices[0].message.content.length > 0);
  assert.ok(['stop', 'length'].includes(answer.choices[0].finish_reason));
  assert.ok(answer.usage.prompt_tokens > 0);
  assert.ok(answer.usage.completion_tokens > 0 && answer.usage.completion_tokens <= exact.max_tokens);
  assert.equal(answer.usage.total_tokens, answer.usage.prompt_tokens + answer.usage.completion_tokens);
});

test('max_tokens ends an answer with the reason length', async () => {
  const answer = await client.chat.completions.create({ ...exact, max_tokens: 1 });
  assert.equal(answer.choices[0].finish_reason, 'length');
  assert.equal(answer.usage.completion_tokens, 1);
});

test('the receipt of an answer is there under the job that the header names', async () => {
  const { response } = await client.chat.completions.create(exact).withResponse();
  const job = response.headers.get('x-cellule-job');
  assert.match(job, /^[0-9a-f]{32}$/);
  const receipt = await client.get(`/receipts/${job}`);
  assert.ok(JSON.stringify(receipt).includes(job));
  await assert.rejects(client.get(`/receipts/${'0'.repeat(32)}`), OpenAI.NotFoundError);
});

test('a stream brings the same text as one answer, in chunks of one id', async () => {
  const whole = await client.chat.completions.create(exact);
  const chunks = await collect(await client.chat.completions.create({ ...exact, stream: true }));
  assert.equal(textOf(chunks), whole.choices[0].message.content);
  assert.ok(chunks.every((chunk) => chunk.object === 'chat.completion.chunk'));
  assert.equal(new Set(chunks.map((chunk) => chunk.id)).size, 1);
  assert.equal(chunks[0].choices[0].delta.role, 'assistant');
  const ends = chunks.filter((chunk) => chunk.choices[0]?.finish_reason);
  assert.equal(ends.length, 1);
  assert.equal(ends[0].choices[0].finish_reason, whole.choices[0].finish_reason);
});

test('a stream carries usage when, and only when, it is asked for', async () => {
  const without = await collect(await client.chat.completions.create({ ...exact, stream: true }));
  assert.ok(without.every((chunk) => !chunk.usage));
  const chunks = await collect(await client.chat.completions.create({
    ...exact, stream: true, stream_options: { include_usage: true } }));
  const last = chunks.at(-1);
  assert.deepEqual(last.choices, []);
  assert.equal(last.usage.total_tokens, last.usage.prompt_tokens + last.usage.completion_tokens);
  assert.ok(last.usage.completion_tokens > 0);
  assert.ok(chunks.slice(0, -1).every((chunk) => !chunk.usage));
});

test('a stream is data events only and closes on [DONE]', async () => {
  const response = await fetch(`${baseURL}/chat/completions`, {
    method: 'POST',
    headers: { authorization: `Bearer ${key}`, 'content-type': 'application/json' },
    body: JSON.stringify({ ...exact, stream: true }),
  });
  assert.equal(response.status, 200);
  assert.match(response.headers.get('content-type'), /^text\/event-stream/);
  assert.match(response.headers.get('x-cellule-job'), /^[0-9a-f]{32}$/);
  const lines = (await response.text()).split('\n').filter((line) => line !== '');
  assert.ok(lines.every((line) => line.startsWith('data: ') || line.startsWith(':')));
  assert.equal(lines.at(-1), 'data: [DONE]');
});

test('the SDK\'s own stream helper puts the answer together', async () => {
  const runner = client.chat.completions.stream(exact);
  const whole = await client.chat.completions.create(exact);
  assert.equal(await runner.finalContent(), whole.choices[0].message.content);
});

test('streams left in the middle give their places back', async () => {
  for (let round = 0; round < 40; round++) {
    const stream = await client.chat.completions.create({ model, messages: question, stream: true });
    for await (const chunk of stream) {
      assert.ok(chunk.id);
      break; // leaves the loop, which aborts the request
    }
  }
  const answer = await client.chat.completions.create(exact);
  assert.ok(answer.choices[0].message.content.length > 0);
});

test('an aborted request rejects as aborted', async () => {
  const abort = new AbortController();
  const asked = client.chat.completions.create(exact, { signal: abort.signal });
  abort.abort();
  await assert.rejects(asked, OpenAI.APIUserAbortError);
});

test('a request that runs into the client\'s timeout rejects as such and harms no later one', async () => {
  const long = { ...exact, temperature: 2, seed: 5, max_tokens: 400 }; // not answered before a busy machine looks at its clock
  for (let round = 0; round < 10; round++) {
    await assert.rejects(client.chat.completions.create(long, { timeout: 1 }), OpenAI.APIConnectionTimeoutError);
  }
  assert.ok((await client.chat.completions.create(exact)).id);
});

test('a wrong key is an AuthenticationError', async () => {
  const stranger = new OpenAI({ baseURL, apiKey: `ck_${'A'.repeat(43)}`, maxRetries: 0 });
  for (const ask of [() => stranger.models.list(), () => stranger.chat.completions.create(exact)]) {
    await assert.rejects(ask(), (error) => {
      assert.ok(error instanceof OpenAI.AuthenticationError);
      assert.equal(error.status, 401);
      assert.equal(error.code, 'invalid_api_key');
      assert.ok(error.error.message.length > 0);
      return true;
    });
  }
});

test('an unknown model is a NotFoundError', async () => {
  for (const stream of [false, true]) {
    await assert.rejects(client.chat.completions.create({ ...exact, model: 'no-such-model', stream }), (error) => {
      assert.ok(error instanceof OpenAI.NotFoundError);
      assert.equal(error.code, 'model_not_found');
      assert.match(error.error.message, /no-such-model/);
      return true;
    });
  }
});

const wrong = {
  temperature: { temperature: 'hot' },
  max_tokens: { max_tokens: -1 },
  messages: { messages: 'hello' },
  stream: { stream: 'yes' },
  seed: { seed: 1.5 },
  stop: { stop: [1, 2] },
};
for (const [param, change] of Object.entries(wrong)) {
  test(`a wrong ${param} is a BadRequestError that names it`, async () => {
    await assert.rejects(client.chat.completions.create({ ...exact, ...change }), (error) => {
      assert.ok(error instanceof OpenAI.BadRequestError);
      assert.equal(error.status, 400);
      assert.equal(error.type, 'invalid_request_error');
      assert.equal(error.param, param);
      assert.deepEqual(Object.keys(error.error).sort(), ['code', 'message', 'param', 'type']);
      assert.match(error.error.message, new RegExp(param));
      return true;
    });
  });
}

test('fields that this API does not know are ignored', async () => {
  const answer = await client.chat.completions.create({ ...exact, field_of_the_future: { a: [1] } });
  assert.ok(answer.choices[0].message.content.length > 0);
});

test('twenty at once get the same answer under twenty ids', async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => client.chat.completions.create(exact)));
  assert.equal(new Set(answers.map((answer) => answer.choices[0].message.content)).size, 1);
  assert.equal(new Set(answers.map((answer) => answer.id)).size, 20);
});

test('twenty streams at once are whole', async () => {
  const streams = await Promise.all(Array.from({ length: 20 }, async () =>
    collect(await client.chat.completions.create({ ...exact, stream: true }))));
  assert.equal(new Set(streams.map(textOf)).size, 1);
  assert.ok(textOf(streams[0]).length > 0);
});

const texts = ['A worker lends its machine.', 'Ein Rechner rechnet.', 'x'];

test('embeddings as numbers and as base64 are the same, of length 1 and in order', async () => {
  const usual = await client.embeddings.create({ model: embedder, input: texts }); // the SDK asks for base64
  const numbers = await client.embeddings.create({ model: embedder, input: texts, encoding_format: 'float' });
  const coded = await client.embeddings.create({ model: embedder, input: texts, encoding_format: 'base64' });
  assert.equal(usual.object, 'list');
  assert.equal(usual.model, embedder);
  assert.deepEqual(usual.data.map((entry) => entry.index), [0, 1, 2]);
  usual.data.forEach((entry, i) => {
    const vector = Float32Array.from(numbers.data[i].embedding);
    const bytes = Buffer.from(coded.data[i].embedding, 'base64');
    assert.ok(vector.length > 0);
    assert.deepEqual(Float32Array.from(entry.embedding), vector);
    assert.deepEqual(Buffer.from(vector.buffer), bytes);
    assert.ok(Math.abs(Math.hypot(...vector) - 1) < 1e-5);
  });
  assert.ok(usual.usage.prompt_tokens > 0);
  assert.equal(usual.usage.total_tokens, usual.usage.prompt_tokens);
});

test('an embedding of one text is that of the text among others', async () => {
  const alone = await client.embeddings.create({ model: embedder, input: texts[1], user: 'somebody' });
  const among = await client.embeddings.create({ model: embedder, input: texts });
  assert.equal(alone.data.length, 1);
  assert.deepEqual(alone.data[0].embedding, among.data[1].embedding);
});

test('what is asked for wrongly is a bad request that names the member', async () => {
  for (const [param, members] of [['input', { input: [[1, 2, 3]] }], ['dimensions', { dimensions: 8 }],
    ['input', { input: [] }], ['model', { model }]]) {
    await assert.rejects(client.embeddings.create({ model: embedder, input: 'x', ...members }),
      (error) => error instanceof OpenAI.BadRequestError && error.param === param);
  }
  await assert.rejects(client.chat.completions.create({ ...exact, model: embedder }), OpenAI.BadRequestError);
});
