// System C: the guide's notifications and logs, its manager of connections.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';

import { frames, LogView, Toasts } from './frames.mjs';
import { bearer, post, register, serve, timeout, until } from './server.mjs';

// Reads a stream into a list until the test closes it.
function read(t, url, token) {
    const abort = new AbortController();
    const stream = { got: [], answer: null, close: () => abort.abort() };
    stream.done = (async () => {
        try {
            const opened = answer => { stream.answer = answer; };
            for await (const frame of frames(url, { headers: bearer(token), signal: abort.signal, opened })) stream.got.push(frame);
        } catch (error) {
            if (!abort.signal.aborted) stream.error = error;
        }
    })();
    t.after(() => {
        stream.close();
        return stream.done;
    });
    return stream;
}

const named = (stream, event) => stream.got.filter(frame => frame.event === event).map(frame => JSON.parse(frame.data));

describe('guide', { timeout, concurrency: 2 }, () => {
    test('greets, asks not to be buffered, and beats in comments', async t => {
        const { url, token } = await serve(t, '--heartbeat=1s');
        const stream = read(t, `${url}/notifications`, token);
        await until(() => stream.got.some(frame => frame.comment));
        assert.equal(JSON.parse(stream.got[0].data).type, 'connected');
        assert.equal(stream.got[0].event, 'message');
        const { headers } = stream.answer;
        assert.match(headers.get('content-type'), /^text\/event-stream/);
        assert.match(headers.get('cache-control'), /no-cache/);
        assert.match(headers.get('cache-control'), /no-transform/);
        assert.equal(headers.get('x-accel-buffering'), 'no');
    });

    test('shows toasts by level, for five seconds or until a click', async t => {
        const { url } = await serve(t);
        const [alice, bob] = await register(url, 'alice', 'bob');
        const stream = read(t, `${url}/notifications`, alice);
        await until(() => stream.got.length > 0);
        for (const type of ['info', 'success', 'warning', 'error']) {
            assert.equal((await post(`${url}/api/notify`, { userId: 'alice', title: 'Build', message: type, type }, bob)).status, 201);
        }
        await until(() => named(stream, 'notification').length === 4);
        const vanish = [];
        const toasts = new Toasts((then, ms) => vanish.push([then, ms]));
        for (const notification of named(stream, 'notification')) toasts.add(notification);
        assert.deepEqual(toasts.shown.map(toast => toast.level), ['info', 'success', 'warning', 'error']);
        assert.deepEqual(toasts.shown.map(toast => toast.title), ['Build', 'Build', 'Build', 'Build']);
        toasts.click(toasts.shown[1].id);
        assert.deepEqual(toasts.shown.map(toast => toast.level), ['info', 'warning', 'error']);
        assert.deepEqual(vanish.map(([, ms]) => ms), [5000, 5000, 5000, 5000]);
        for (const [then] of vanish) then();
        assert.deepEqual(toasts.shown, []);
    });

    test('tails a log by level and keeps the last thousand lines', async t => {
        const { url, token } = await serve(t, '--send-rate=0', '--call-rate=0');
        const write = (level, message) => post(`${url}/api/logs`, { level, message }, token);
        await write('info', 'before the page was opened');
        const view = new LogView();
        const abort = new AbortController();
        const following = view.follow(`${url}/api/logs/stream`, bearer(token), abort.signal);
        t.after(() => abort.abort());
        await until(() => view.lines.length === 1);
        assert.equal(view.state, 'connected');
        for (const level of ['debug', 'info', 'warn', 'error']) assert.equal((await write(level, `a line of ${level}`)).status, 201);
        await until(() => view.lines.length === 5);
        assert.deepEqual(view.lines.map(line => line.level), ['info', 'debug', 'info', 'warn', 'error']);
        for (const line of view.lines) assert.ok(line.id && line.message && Date.parse(line.timestamp));

        view.follows = false;
        const { top } = view;
        for (let i = 0; i < 1010; i++) await write('info', `line ${i}`);
        await until(() => view.lines.at(-1).message === 'line 1009');
        assert.equal(view.lines.length, 1000);
        assert.equal(view.lines[0].message, 'line 10');
        assert.equal(view.top, top, 'it does not scroll');
        view.clear();
        view.follows = true;
        await write('warn', 'after clear');
        await until(() => view.lines.length === 1);
        abort.abort();
        await following;
        assert.equal(view.state, 'disconnected');
    });

    // The guide's manager of connections is the server's own: it adds who comes,
    // sends to one or to all, and lets go of who is gone.
    test('knows who is connected', async t => {
        const { url } = await serve(t);
        const [alice, bob] = await register(url, 'alice', 'bob');
        const streams = [alice, alice, bob].map(token => read(t, `${url}/notifications`, token));
        await until(() => streams.every(stream => stream.got.length > 0));
        const notify = async body => (await post(`${url}/api/notify`, { type: 'info', ...body }, bob)).json();
        assert.equal((await notify({ userId: 'alice', message: 'to one' })).delivered, 2);
        assert.equal((await notify({ message: 'to all' })).delivered, 3);
        await until(() => named(streams[0], 'notification').length === 2 && named(streams[2], 'notification').length === 1);
        assert.deepEqual(named(streams[2], 'notification').map(data => data.message), ['to all']);
        streams[0].close();
        await streams[0].done;
        await until(async () => (await notify({ message: 'who is left' })).delivered === 2);
    });
});
