// System B: the notification service.
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { describe, test } from 'node:test';

import { ReconnectingSource } from './reconnecting.mjs';
import { bearer, durable, post, register, serve, timeout, until } from './server.mjs';

// A connected client of somebody, and what it got.
async function follow(t, url, token, options = {}) {
    const got = [];
    const source = new ReconnectingSource(url, { headers: bearer(token), ...options });
    t.after(() => source.close());
    source.on('notification', data => got.push(data)).connect();
    await until(() => source.state === 'open');
    return { source, got };
}

const messages = got => got.map(data => data.message);

describe('notifications', { timeout, concurrency: 2 }, () => {
    test('counts up every two seconds, and goes on where it was', async t => {
        const { url, token } = await serve(t);
        const welcomes = [];
        const ids = [];
        const source = new ReconnectingSource(`${url}/stream`, { headers: bearer(token) });
        t.after(() => source.close());
        source.on('welcome', data => welcomes.push(data)).on('update', (data, event) => {
            assert.equal(String(data.id), event.lastEventId);
            ids.push(data.id);
        }).connect();
        await until(() => ids.length === 3);
        source.close();
        assert.deepEqual(ids, [1, 2, 3]);
        assert.equal(welcomes.length, 1);
        assert.ok(Date.parse(welcomes[0].timestamp));

        const answer = await fetch(`${url}/stream`, { headers: { ...bearer(token), 'last-event-id': '3' } });
        let text = '';
        for await (const chunk of answer.body) {
            text += Buffer.from(chunk);
            if (text.includes('event: update')) break;
        }
        assert.match(text, /^id: 4$/m);
    });

    test('reach their user alone, and everybody where they name none', async t => {
        const { url } = await serve(t);
        const [alice, bob] = await register(url, 'alice', 'bob');
        const a = await follow(t, `${url}/notifications?userId=alice`, alice);
        const b = await follow(t, `${url}/notifications?userId=bob`, bob);
        const sent = await post(`${url}/api/notify`, { userId: 'alice', message: 'bob likes your post', type: 'like' }, bob);
        assert.equal(sent.status, 201);
        assert.deepEqual({ ...await sent.json(), id: '' }, { success: true, delivered: 1, id: '' });
        await post(`${url}/api/notify`, { userId: 'bob', message: 'a comment', type: 'comment' }, alice);
        await post(`${url}/api/notify`, { message: 'EURUSD 1.08', type: 'price-update' }, alice);
        await until(() => a.got.length === 2 && b.got.length === 2);
        assert.deepEqual(messages(a.got), ['bob likes your post', 'EURUSD 1.08']);
        assert.deepEqual(messages(b.got), ['a comment', 'EURUSD 1.08']);
        assert.deepEqual(a.got.map(data => data.type), ['like', 'price-update']);
        assert.equal(a.got[0].userId, 'alice');
        assert.ok(Date.parse(a.got[0].timestamp));
    });

    test('show how far a long job is', async t => {
        const { url } = await serve(t);
        const [alice] = await register(url, 'alice');
        const { got } = await follow(t, `${url}/notifications?userId=alice`, alice);
        for (const progress of [0, 50, 100]) {
            const sent = await post(`${url}/api/notifications`, { to: 'alice', message: 'export', progress, key: 'job-1' }, alice);
            assert.equal(sent.status, 201);
        }
        await until(() => got.length === 3);
        assert.deepEqual(got.map(data => [data.key, data.progress]), [['job-1', 0], ['job-1', 50], ['job-1', 100]]);
    });

    test('are for those alone who may have them', async t => {
        const { url } = await serve(t);
        const [alice] = await register(url, 'alice');
        for (const [headers, user, status] of [
            [{}, 'alice', 401], [bearer('x.y.z'), 'alice', 401], [bearer(alice), 'bob', 403], [bearer(alice), 'alice', 200]
        ]) {
            const abort = new AbortController();
            const answer = await fetch(`${url}/notifications?userId=${user}`, { headers, signal: abort.signal });
            assert.equal(answer.status, status);
            abort.abort();
        }
        const refused = await post(`${url}/api/notify`, { userId: 'nobody-here', message: 'x' }, alice);
        assert.equal(refused.status, 404);
        assert.match((await refused.json()).error, /^userId/);
        assert.equal((await post(`${url}/api/notify`, { userId: 'alice', message: 'x' })).status, 401);
    });

    test('that were missed come when the client is back', async t => {
        const start = await durable(t);
        const first = await start();
        const [alice] = await register(first.url, 'alice');
        const { source, got } = await follow(t, `${first.url}/notifications?userId=alice`, alice);
        await post(`${first.url}/api/notify`, { userId: 'alice', message: 'before' }, alice);
        await until(() => got.length === 1);
        await first.kill();
        await until(() => source.state === 'waiting');
        const elsewhere = await start();
        await post(`${elsewhere.url}/api/notify`, { userId: 'alice', message: 'missed' }, elsewhere.token);
        await elsewhere.stop();
        await start('--addr', new URL(first.url).host);
        await until(() => got.length === 2);
        await post(`${first.url}/api/notify`, { userId: 'alice', message: 'after' }, alice);
        await until(() => got.length === 3);
        assert.deepEqual(messages(got), ['before', 'missed', 'after']);
        assert.equal(source.delays[0], 1000);
    });

    test('say that the server ends', async t => {
        const server = await serve(t);
        const [alice] = await register(server.url, 'alice');
        const { source } = await follow(t, `${server.url}/notifications`, alice);
        const farewells = [];
        source.on('shutdown', data => farewells.push(data));
        await server.stop();
        assert.equal(farewells.length, 1);
        assert.ok(farewells[0].message);
    });

    test('are given up for after so many tries, each later than the one before', async () => {
        const taken = createServer().listen(0, '127.0.0.1');
        await once(taken, 'listening');
        const { port } = taken.address();
        taken.close();
        await once(taken, 'close'); // nothing listens there any more
        const source = new ReconnectingSource(`http://127.0.0.1:${port}/notifications`, { maxRetries: 7, wait: (ms, then) => setImmediate(then) });
        source.connect();
        await until(() => source.state === 'failed');
        assert.deepEqual(source.delays, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000]);
    });
});
