import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { setTimeout as pause } from 'node:timers/promises';

import { clients, connect } from './connect.mjs';
import { startCutter, startServer } from './server.mjs';

// Bounds every test; it only has to be longer than the slowest machine takes.
const timeout = 120_000;
const general = 'wigwag://rooms/general';

for (const [number, how] of clients.entries()) {
    describe(how.name, { timeout }, () => {
        const room = name => `${name}-${number}`;
        let server;
        before(async () => { server = await startServer(); });
        after(() => server.stop());

        // Connects for one test.
        async function join(t, url = server.url, token = server.token) {
            const connection = await connect(how, url, token);
            t.after(() => connection.close());
            return connection;
        }

        test('negotiates its revision', async t => {
            const { client, transport } = await join(t);
            assert.equal(client.getServerVersion().name, 'wigwag');
            if (how.revision) {
                assert.equal(client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion, how.revision);
            }
        });

        test('lists and calls the tools', async t => {
            const connection = await join(t);
            const { tools } = await connection.client.listTools();
            assert.deepEqual(tools.map(tool => tool.name).sort(), [
                'list_people', 'list_rooms', 'notify', 'open_room', 'read_messages', 'send_message', 'stream_message',
                'wait_for_messages', 'write_log'
            ]);
            await call(connection, 'open_room', { room: room('tools'), topic: 'a test' });
            assert.match((await call(connection, 'list_rooms', {})).text, new RegExp(room('tools')));
            const sent = await call(connection, 'send_message', { room: room('tools'), message: 'hello' });
            assert.equal(sent.structured.room, room('tools'));
            assert.equal(sent.structured.duplicate, false);
            assert.ok(sent.text.includes(sent.structured.id));
            assert.deepEqual(await texts(connection, room('tools')), ['hello']);
            const waited = await call(connection, 'wait_for_messages', { rooms: [room('tools')], after: '0' });
            assert.deepEqual(waited.structured.messages.map(m => m.message), ['hello']);
        });

        test('gets every part of a streamed message, in order, before the result', async t => {
            const connection = await join(t);
            await call(connection, 'open_room', { room: room('stream') });
            const messages = [
                words('fast', 200),
                'one',
                'Two  spaces,\na line, and 👩‍👩‍👧‍👦 e\u0301\n',
                '信号旗で話す。'.repeat(20)
            ];
            for (const message of messages) await stream(how, connection, { room: room('stream'), message, interval_ms: 0 });
            assert.deepEqual(await texts(connection, room('stream')), messages);
        });

        test('does not mix two streams at once on one session', async t => {
            const connection = await join(t);
            // They overlap nearly always at once; that they did is checked, not assumed.
            for (let attempt = 0; attempt < 10; attempt++) {
                const ids = await Promise.all(['left', 'right'].map(side =>
                    stream(how, connection, { message: words(`${side}${attempt}-`, 40), interval_ms: 10 })));
                const order = connection.received.map(streamOf).filter(id => ids.includes(id));
                const [a, b] = ids;
                if (order.indexOf(a) < order.lastIndexOf(b) && order.indexOf(b) < order.lastIndexOf(a)) return;
            }
            assert.fail('two streams never ran at once');
        });

        // The server allows the user one call at a time, so that the next one
        // is let in only after the cancelled one has ended; uncancelled it would
        // take half a minute and store its message.
        test('stores nothing of a cancelled stream', async t => {
            const single = await startServer('--max-calls-per-user=1');
            const connection = await connect(how, single.url, single.token);
            t.after(async () => {
                await connection.close();
                await single.stop();
            });
            await call(connection, 'open_room', { room: room('cancel') });
            const cancel = new AbortController();
            await assert.rejects(connection.callTool(
                { name: 'stream_message', arguments: { room: room('cancel'), message: words('late', 200), interval_ms: 2000 } },
                { signal: cancel.signal, onprogress: () => cancel.abort() }
            ));
            assert.deepEqual(await whenLetIn(t, connection, room('cancel')), []);
            assert.ok(connection.received.filter(m => m.method === 'notifications/progress').length < 200);
        });

        for (const cut of how.resumes ? ['broken', 'ended'] : []) {
            test(`takes up a stream that was ${cut}`, async t => {
                const cutter = await startCutter(server.url, 5, cut);
                t.after(() => cutter.stop());
                const connection = await join(t, cutter.url);
                await stream(how, connection, { message: words('resumed', 100), interval_ms: 10 });
                assert.ok(cutter.seen.cut);
                assert.ok(cutter.seen.resumed > 0);
            });
        }

        test('is told of changes it subscribed to', async t => {
            const connection = await join(t);
            const updated = new Promise(resolve => connection.onUpdated(resolve));
            const changed = new Promise(resolve => connection.onListChanged(() => resolve(true)));
            if (how.listens) {
                const subscription = await connection.client.listen({
                    resourceSubscriptions: [general], resourcesListChanged: true
                });
                t.after(() => subscription.close());
            } else {
                await connection.client.subscribeResource({ uri: general });
            }
            const sender = await join(t);
            await call(sender, 'send_message', { message: 'news' });
            assert.equal(await updated, general);
            await call(sender, 'open_room', { room: room('new') });
            assert.ok(await changed);
        });

        test('reads resources, prompts and completions', async t => {
            const connection = await join(t);
            await call(connection, 'send_message', { message: 'mentioned' });
            const { contents } = await connection.client.readResource({ uri: general });
            assert.equal(contents.length, 1);
            assert.equal(contents[0].mimeType, 'text/markdown');
            assert.match(contents[0].text, /mentioned/);
            const { prompts } = await connection.client.listPrompts();
            assert.deepEqual(prompts.map(prompt => prompt.name).sort(), ['catch_up', 'hand_off']);
            const prompt = await connection.client.getPrompt({ name: 'catch_up', arguments: { room: 'general' } });
            assert.ok(prompt.messages.length > 0);
            const { completion } = await connection.client.complete({
                ref: { type: 'ref/resource', uri: 'wigwag://rooms/{room}' },
                argument: { name: 'room', value: 'gener' }
            });
            assert.deepEqual(completion.values, ['general']);
        });
    });
}

// A text of n words that all start with the given one.
function words(start, n) {
    return Array.from({ length: n }, (_, i) => `${start}${i}`).join(' ');
}

// Calls a tool that must succeed and give both a structured result and a text.
async function call(connection, name, args, options) {
    const result = await connection.callTool({ name, arguments: args }, options);
    const text = result.content.map(part => part.text ?? '').join('');
    assert.ok(!result.isError, `${name}: ${text}`);
    assert.ok(result.structuredContent && text, `${name}: both a structured result and a text`);
    return { structured: result.structuredContent, text };
}

// Reads a room from its beginning.
async function texts(connection, room) {
    const { structured } = await call(connection, 'read_messages', { room, after: '0' });
    return structured.messages.map(message => message.message);
}

// Which streamed message a received notification belongs to, if to any.
function streamOf(message) {
    return message.params?._meta?.['wigwag/partial']?.stream_id;
}

// Streams a message and checks its progress. Returns its stream ID.
async function stream(how, connection, args) {
    const told = [];
    const { structured, text } = await call(connection, 'stream_message', args, { onprogress: p => told.push(p.message) });
    assert.ok(text.includes(args.message), 'the result repeats the message');

    const { received } = connection;
    const result = received.findIndex(m => m.result?.structuredContent?.stream_id === structured.stream_id);
    const parts = received.flatMap((m, at) => streamOf(m) === structured.stream_id ? [{ at, ...m.params }] : []);
    assert.ok(parts.length > 0);
    assert.equal(parts.length, structured.parts);
    assert.ok(parts.at(-1).at < result, 'all progress came before the result');
    assert.equal(parts.map(part => part.message).join(''), args.message);
    parts.forEach((part, i) => {
        assert.equal(part.progress, i + 1);
        assert.equal(part.total, parts.length);
        assert.equal(part._meta['wigwag/partial'].delta, part.message);
        assert.equal(part._meta['wigwag/partial'].isComplete, i === parts.length - 1);
    });

    const sent = parts.map(part => part.message);
    assert.deepEqual(told, how.tellsAll ? sent : sent.slice(0, told.length), 'what onprogress was told');
    return structured.stream_id;
}

// Reads a room as soon as the server lets the call in.
async function whenLetIn(t, connection, room) {
    while (!t.signal.aborted) {
        const result = await connection.callTool({ name: 'read_messages', arguments: { room, after: '0' } }).catch(() => undefined);
        if (result && !result.isError) return texts(connection, room);
        await pause(10);
    }
    assert.fail('the cancelled call did not end');
}
