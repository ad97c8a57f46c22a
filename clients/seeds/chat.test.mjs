// System A: the tutorial's chat.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { ChatPage } from './chat-client.mjs';
import { durable, password, post, register, serve, timeout, until } from './server.mjs';

// A page of a user that is connected.
async function open(t, url, path, jar) {
    const page = new ChatPage(url, path, jar);
    t.after(() => page.close());
    page.connect();
    await until(() => page.of('system').length > 0);
    return page;
}

async function signedIn(url, username) {
    const page = new ChatPage(url);
    await page.login(username, password);
    return page.jar;
}

describe('chat', { timeout, concurrency: 2 }, () => {
    test('signs in, gets a token and a cookie, and is told what is wrong', async t => {
        const { url } = await serve(t);
        await register(url, 'alice');
        const page = new ChatPage(url);
        await assert.rejects(page.login('alice', 'guessed'), /password/i);
        assert.equal(page.jar.cookies.size, 0);
        const data = await page.login('alice', password);
        assert.equal(data.user.username, 'alice');
        assert.match(data.token, /^[\w-]+\.[\w-]+\.[\w-]+$/);
        assert.equal(page.jar.cookies.get('auth_token'), data.token);
    });

    test('opens a stream by cookie, and by a token in the query', async t => {
        const { url } = await serve(t);
        const [token] = await register(url, 'alice');
        const jar = await signedIn(url, 'alice');
        for (const page of [
            await open(t, url, '/events', jar), await open(t, url, '/secure-events', jar),
            await open(t, url, `/events?token=${token}`), await open(t, url, `/secure-events?token=${token}`)
        ]) {
            assert.deepEqual(page.statuses, ['connecting', 'connected']);
            assert.equal(page.events[0].type, 'system');
            assert.match(page.events[0].message, /connected/i);
            assert.ok(Date.parse(page.events[0].time));
        }
    });

    test('is refused without a token, and with one that is no good', async t => {
        const { url } = await serve(t);
        for (const path of ['/events', '/secure-events', '/secure-events?token=x.y.z']) {
            const page = new ChatPage(url, path);
            page.connect();
            await until(() => page.status === 'disconnected');
            assert.equal(page.lastError.code, 401);
        }
    });

    test('shows public rooms without a token where that is allowed', async t => {
        const { url } = await serve(t, '--public-read');
        await register(url, 'alice');
        const guest = await open(t, url, '/events');
        const alice = await open(t, url, '/events', await signedIn(url, 'alice'));
        await alice.sendMessage('for all to see');
        await until(() => guest.texts().length > 0);
        assert.deepEqual(guest.texts(), ['for all to see']);
        await assert.rejects(guest.sendMessage('from nobody'));
    });

    test('sends a message to every client', async t => {
        const { url } = await serve(t);
        await register(url, 'alice', 'bob');
        const alice = await open(t, url, '/events', await signedIn(url, 'alice'));
        const bob = await open(t, url, '/secure-events', await signedIn(url, 'bob'));
        const answer = await alice.sendMessage('hello');
        assert.equal(answer.recipients, 2);
        for (const page of [alice, bob]) {
            await until(() => page.texts().length > 0);
            const [event] = page.of('message');
            assert.equal(event.message, 'hello');
            assert.ok(Date.parse(event.time));
            assert.ok(event.lastEventId);
        }
        await assert.rejects(alice.sendMessage(''), /message/);
    });

    test('streams a message word by word, with progress', async t => {
        const { url } = await serve(t);
        await register(url, 'alice', 'bob');
        const alice = await open(t, url, '/events', await signedIn(url, 'alice'));
        const bob = await open(t, url, '/events', await signedIn(url, 'bob'));
        const answer = await alice.streamMessage('one two three four five');
        assert.deepEqual(bob.texts(), [], 'the answer does not wait for the words');
        await until(() => bob.typing.size > 0);
        assert.ok(bob.typing.has(answer.stream_id));
        await until(() => bob.texts().length > 0);
        assert.equal(bob.typing.size, 0, 'nobody is typing any more');

        const parts = bob.of('partial-message');
        assert.ok(parts.length > 1);
        for (const [i, part] of parts.entries()) {
            assert.ok('one two three four five'.startsWith(part.message), part.message);
            assert.ok(part.progress >= (parts[i - 1]?.progress ?? 0) && part.progress <= 100);
            assert.equal(part.isComplete, i === parts.length - 1);
        }
        assert.equal(parts.at(-1).message, 'one two three four five');
        assert.equal(parts.at(-1).progress, 100);
        assert.deepEqual(bob.texts(), ['one two three four five']);
    });

    test('ends the login, and the stream with it', async t => {
        const { url } = await serve(t);
        await register(url, 'alice');
        const page = await open(t, url, '/events', await signedIn(url, 'alice'));
        const token = page.jar.cookies.get('auth_token');
        assert.equal((await page.logout()).success, true);
        assert.equal(page.jar.cookies.size, 0);
        await until(() => page.status === 'disconnected');
        assert.equal(page.lastError.code, 401);
        assert.equal((await post(`${url}/send-message`, { message: 'x' }, token)).status, 401);
    });

    test('logs every request, and nothing secret', async t => {
        const server = await serve(t, '--log-level=debug');
        const [token] = await register(server.url, 'alice');
        const page = await open(t, server.url, `/events?token=${token}`);
        page.close();
        await post(`${server.url}/send-message`, { message: 'between us' }, token);
        const logged = (method, path) => server.log().includes(`msg=request method=${method} path=${path} status=200 `);
        await until(() => logged('POST', '/send-message') && logged('GET', '/events'));
        for (const secret of [token, password, 'between us']) assert.ok(!server.log().includes(secret), secret);
    });

    // The page's EventSource comes back by itself with the last ID that it got.
    test('gets what it missed when the server was killed and started again', async t => {
        const start = await durable(t);
        const first = await start();
        await register(first.url, 'alice');
        const resumed = [];
        const jar = await signedIn(first.url, 'alice');
        const { fetch: send } = jar;
        jar.fetch = (input, init) => {
            if (init?.headers['Last-Event-ID']) resumed.push(init.headers['Last-Event-ID']);
            return send(input, init);
        };
        const page = await open(t, first.url, '/events', jar);
        await page.sendMessage('before');
        await until(() => page.texts().length === 1);

        await first.kill();
        await until(() => page.status === 'reconnecting');
        const elsewhere = await start();
        for (const message of ['missed 1', 'missed 2']) {
            assert.equal((await post(`${elsewhere.url}/send-message`, { message }, elsewhere.token)).status, 200);
        }
        await elsewhere.stop();
        await start('--addr', new URL(first.url).host);
        await until(() => page.texts().length === 3);
        await page.sendMessage('after');
        await until(() => page.texts().length === 4);
        assert.deepEqual(page.texts(), ['before', 'missed 1', 'missed 2', 'after']);
        assert.ok(resumed.includes(page.of('message')[0].lastEventId));
        assert.equal(page.status, 'connected');
    });

    // A browser asks on behalf of any page: the cookie counts for those alone
    // that the operator has named.
    test('takes the cookie from its own front end, and from no other page', async t => {
        const front = 'http://localhost:3000';
        const { url } = await serve(t, '--allowed-origin', front);
        await register(url, 'alice');
        const jar = await signedIn(url, 'alice');
        const ask = (origin, path, method = 'GET') => jar.fetch(url + path, {
            method, headers: { origin, 'sec-fetch-site': 'cross-site', 'content-type': 'application/json' },
            body: method === 'POST' ? '{"message":"from a page"}' : undefined
        });
        const answer = await ask(front, '/api/session');
        assert.equal(answer.status, 200);
        assert.equal(answer.headers.get('access-control-allow-origin'), front);
        assert.equal(answer.headers.get('access-control-allow-credentials'), 'true');
        assert.equal((await ask(front, '/send-message', 'POST')).status, 200);
        assert.equal((await ask('https://evil.example', '/api/session')).status, 403);
        assert.equal((await ask('https://evil.example', '/send-message', 'POST')).status, 403);
    });
});
