// Clients that sign in. start(url, folder, t) starts one that knows the address
// of the server and no more, keeps what it keeps in the folder, and ends with
// the test t; it resolves to a function that sends a message by the tool
// send_message and resolves to the text of the result.
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

import * as v2 from '@modelcontextprotocol/client';
import * as auth1 from '@modelcontextprotocol/sdk/client/auth.js';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StdioClientTransport } from '@modelcontextprotocol/sdk/client/stdio.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';

import { password } from '../typescript/server.mjs';

// The browser that a client opens: a person who signs in and consents.
const browse = process.env.BROWSE_BINARY ?? fileURLToPath(new URL('../../bin/browse', import.meta.url));
const environment = { ...process.env, BROWSER: browse, BROWSE_NAME: 'admin', BROWSE_PASSWORD: password };

const identity = { name: 'signs-in', version: '1' };

export const clients = [
    {
        name: 'sdk 1.32.2, 2025-11-25',
        start: (url, _folder, t) => startSDK(t, () => new Client(identity), auth1.UnauthorizedError, {
            connect: authProvider => new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { authProvider }),
            finish: (transport, answer) => transport.finishAuth(answer.get('code'))
        })
    },
    {
        name: 'sdk 1.32.2, HTTP+SSE',
        start: async (url, _folder, t) => {
            const send = await startSDK(t, () => new Client(identity), auth1.UnauthorizedError, {
                connect: authProvider => new SSEClientTransport(new URL(`${url}/sse`), { authProvider }),
                finish: (transport, answer) => transport.finishAuth(answer.get('code'))
            });
            return message => onNextStream(() => send(message));
        }
    },
    ...[['2025-11-25', 'legacy'], ['2026-07-28', { pin: '2026-07-28' }]].map(([revision, mode]) => ({
        name: `client 2.4.0, ${revision}`,
        start: (url, _folder, t) => startSDK(t, () => new v2.Client(identity, { versionNegotiation: { mode } }), v2.UnauthorizedError, {
            connect: authProvider => new v2.StreamableHTTPClientTransport(new URL(`${url}/mcp`), { authProvider }),
            finish: (transport, answer) => transport.finishAuth(answer)
        })
    })),
    { name: 'mcp-remote 0.15.1', start: startRemote },
    ...['legacy', 'modern'].map(era => ({
        name: `Inspector 2.12.0, ${era}`,
        start: async (url, folder) => message => inspect(url, folder, era, message)
    }))
];

async function send(client, message) {
    const { content } = await client.callTool({ name: 'send_message', arguments: { message } });
    return content[0].text;
}

// With HTTP+SSE the session is the stream, which ends with the token it was
// opened with. Until the SDK has opened the next one there is no session.
async function onNextStream(call) {
    for (;;) {
        try {
            return await call();
        } catch (error) {
            if (!error.message.includes('session not found')) throw error;
            await pause(50); // the test's own time is the bound
        }
    }
}

// An SDK client throws UnauthorizedError once it has sent the person to the
// browser; when they are back another one connects.
async function startSDK(t, make, UnauthorizedError, how) {
    const provider = await newProvider(t);
    const transport = how.connect(provider);
    await make().connect(transport).then(
        () => { throw new Error('it came in without a token'); },
        error => { if (!(error instanceof UnauthorizedError)) throw error; }
    );
    await how.finish(transport, await provider.answer);
    const client = make();
    await client.connect(how.connect(provider));
    t.after(() => client.close());
    return message => send(client, message);
}

// An OAuthClientProvider of either SDK. answer resolves to the parameters with
// which the browser comes back.
async function newProvider(t) {
    const back = Promise.withResolvers();
    const state = randomUUID();
    const listener = createServer((request, response) => {
        const { searchParams } = new URL(request.url, 'http://127.0.0.1');
        response.end('You can close this page.');
        if (searchParams.get('state') === state) back.resolve(searchParams);
        else back.reject(new Error(`came back with the state ${searchParams.get('state')}`));
    });
    await once(listener.listen(0, '127.0.0.1'), 'listening');
    t.after(() => listener.close());
    const redirectUrl = `http://127.0.0.1:${listener.address().port}/callback`;
    const kept = {};
    return {
        answer: back.promise,
        redirectUrl,
        clientMetadata: { client_name: 'SDK', redirect_uris: [redirectUrl], token_endpoint_auth_method: 'none' },
        state: () => state,
        clientInformation: () => kept.client,
        saveClientInformation: client => { kept.client = client; },
        tokens: () => kept.tokens,
        saveTokens: tokens => { kept.tokens = tokens; },
        codeVerifier: () => kept.verifier,
        saveCodeVerifier: verifier => { kept.verifier = verifier; },
        saveDiscoveryState: state => { kept.discovery = state; },
        discoveryState: () => kept.discovery,
        redirectToAuthorization: async url => { run(browse, [url.href], environment).catch(back.reject); }
    };
}

// mcp-remote is a server on stdin and stdout.
async function startRemote(url, folder, t) {
    const client = new Client(identity);
    const transport = new StdioClientTransport({
        command: process.execPath,
        args: [program('mcp-remote'), `${url}/mcp`],
        env: { ...environment, MCP_REMOTE_CONFIG_DIR: folder },
        stderr: 'pipe'
    });
    let log = '';
    transport.stderr.on('data', data => { log += data; });
    await client.connect(transport).catch(error => { throw new Error(`${error.message}\n${log}`); });
    t.after(() => client.close());
    return message => send(client, message);
}

// The Inspector is started anew for every call, and keeps its tokens in between.
async function inspect(url, folder, era, message) {
    const printed = await run(process.execPath, [
        program('@modelcontextprotocol/inspector', 'mcp-inspector'), '--cli', `${url}/mcp`, '--protocol-era', era,
        '--callback-url', 'http://127.0.0.1:0/oauth/callback', '--format', 'json',
        '--method', 'tools/call', '--tool-name', 'send_message', '--tool-arg', `message=${message}`
    ], { ...environment, HOME: folder, MCP_INSPECTOR_SECRET_STORE: 'file', MCP_AUTO_OPEN_ENABLED: 'true' });
    return JSON.parse(printed).result.content[0].text;
}

// The path of a package's program.
function program(name, command = name) {
    const manifest = createRequire(import.meta.url).resolve(`${name}/package.json`);
    return join(dirname(manifest), createRequire(import.meta.url)(manifest).bin[command]);
}

// Runs a program and resolves to what it prints.
async function run(command, args, env) {
    const child = spawn(command, args, { env, stdio: ['ignore', 'pipe', 'pipe'] });
    const [printed, complaints, [code, signal]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')]);
    if (code !== 0) throw new Error(`${command} ${args[0]}: exit ${code}, signal ${signal}\n${complaints}`);
    return printed;
}
