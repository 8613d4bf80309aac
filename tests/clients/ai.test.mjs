// The `ai` package with its provider for OpenAI-compatible services.
import assert from 'node:assert/strict';
import test from 'node:test';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, streamText } from 'ai';
import { baseURL, exact, key, model } from './site.mjs';

const provider = createOpenAICompatible({ name: 'cellule', baseURL, apiKey: key, includeUsage: true });
const request = {
  model: provider(model), prompt: exact.messages[0].content, temperature: 0, seed: exact.seed,
  maxOutputTokens: exact.max_tokens, maxRetries: 0,
};

test('generateText brings text, a reason to end and usage', async () => {
  const result = await generateText(request);
  assert.ok(result.text.length > 0);
  assert.ok(['stop', 'length'].includes(result.finishReason));
  assert.ok(result.usage.inputTokens > 0);
  assert.ok(result.usage.outputTokens > 0 && result.usage.outputTokens <= exact.max_tokens);
  assert.match(result.response.headers['x-cellule-job'], /^[0-9a-f]{32}$/);
});

test('streamText brings the same text in pieces, and usage', async () => {
  const whole = await generateText(request);
  const result = streamText(request);
  const pieces = [];
  for await (const piece of result.textStream) {
    pieces.push(piece);
  }
  assert.equal(pieces.join(''), whole.text);
  assert.equal(await result.finishReason, whole.finishReason);
  assert.equal((await result.usage).outputTokens, whole.usage.outputTokens);
});

test('a stream can be aborted and the next one is whole', async () => {
  for (let round = 0; round < 10; round++) {
    const abort = new AbortController();
    const result = streamText({ ...request, maxOutputTokens: 400, abortSignal: abort.signal });
    const kinds = [];
    for await (const part of result.fullStream) {
      kinds.push(part.type);
      if (part.type === 'text-delta') {
        abort.abort();
      }
    }
    assert.ok(kinds.includes('abort') || kinds.includes('finish'));
  }
  assert.ok((await streamText(request).text).length > 0);
});

const refusals = {
  'a wrong key': { call: { model: createOpenAICompatible({ name: 'cellule', baseURL, apiKey: 'ck_no' })(model) }, status: 401 },
  'an unknown model': { call: { model: provider('no-such-model') }, status: 404 },
};
for (const [name, { call, status }] of Object.entries(refusals)) {
  test(`${name} is an APICallError with status ${status} and the pool's words`, async () => {
    await assert.rejects(generateText({ ...request, ...call }), (error) => {
      assert.ok(APICallError.isInstance(error));
      assert.equal(error.statusCode, status);
      assert.equal(error.isRetryable, false);
      assert.ok(JSON.parse(error.responseBody).error.message.length > 0);
      assert.equal(error.message, JSON.parse(error.responseBody).error.message);
      return true;
    });
  });
}
