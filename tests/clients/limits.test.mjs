// What happens beyond the bounded queue: the pool says 429, the SDK comes again by itself.
import assert from 'node:assert/strict';
import test from 'node:test';
import OpenAI from 'openai';
import { baseURL, exact, key, queueLimit, settled } from './site.mjs';

const crowd = (client) =>
  settled(Array.from({ length: queueLimit + 40 }, () => client.chat.completions.create(exact)));

test('a full queue is a RateLimitError that says when to come again', async () => {
  const client = new OpenAI({ baseURL, apiKey: key, maxRetries: 0 });
  let { values, errors } = await crowd(client);
  // The first crowd still had to connect, one after the other; the next ones come all at once.
  for (let turn = 0; turn < 10 && errors.length === 0; turn++) {
    ({ values, errors } = await crowd(client));
  }
  assert.ok(values.length >= queueLimit);
  assert.ok(errors.length > 0);
  for (const error of errors) {
    assert.ok(error instanceof OpenAI.RateLimitError, String(error));
    assert.match(error.headers.get('retry-after'), /^[1-9][0-9]*$/);
    assert.ok(error.error.message.length > 0);
  }
});

test('the SDK\'s own retries bring everyone through', async () => {
  const { values, errors } = await crowd(new OpenAI({ baseURL, apiKey: key, maxRetries: 20 }));
  assert.deepEqual(errors, []);
  assert.equal(new Set(values.map((answer) => answer.choices[0].message.content)).size, 1);
});
