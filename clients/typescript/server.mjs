// Runs the built program for a test file, as its users do.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer, request } from 'node:http';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const binary = process.env.WIGWAG_BINARY ?? fileURLToPath(new URL('../../bin/wigwag', import.meta.url));
export const password = 'not-a-secret-in-tests'; // of the user admin

// Starts wigwag serve with more args on a free port, in memory without --data, and
// signs in. stop() tells it to stop and fails unless it exits with 0, kill() ends
// it at once; log() is what it has logged.
export async function startServer(...args) {
    if (!args.includes('--data')) args.unshift('--memory');
    const child = spawn(binary, ['serve', '--addr', '127.0.0.1:0', ...args], {
        env: { ...process.env, WIGWAG_ADMIN_PASSWORD: password },
        stdio: ['ignore', 'ignore', 'pipe']
    });
    const exited = once(child, 'exit'); // rejects if it cannot be started
    let log = '';
    const listening = new Promise(resolve => {
        createInterface({ input: child.stderr }).on('line', line => {
            log += line + '\n';
            const match = /msg=listening .*\burl=(\S+)/.exec(line);
            if (match) resolve(match[1]);
        });
    });
    const url = await Promise.race([listening, exited.then(() => { throw new Error(`wigwag serve ended:\n${log}`); })]);
    const answer = await fetch(`${url}/api/login`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ username: 'admin', password })
    });
    if (!answer.ok) throw new Error(`signing in: ${answer.status} ${await answer.text()}`);
    const { token } = await answer.json();

    async function stop() {
        child.kill('SIGTERM');
        const [code, signal] = await exited;
        if (code !== 0) throw new Error(`wigwag serve, told to stop: exit ${code}, signal ${signal}\n${log}`);
    }
    async function kill() {
        child.kill('SIGKILL');
        await exited;
    }
    return { url, token, stop, kill, log: () => log };
}

// Starts a proxy in front of a server that cuts the first answer to a POST that
// is an event stream of more than n messages, after the nth: it breaks the
// connection in the middle of an event, or ends the answer after one.
export async function startCutter(url, n, how) {
    const seen = { cut: false, resumed: 0 };
    const proxy = createServer((incoming, outgoing) => {
        if (incoming.headers['last-event-id']) seen.resumed++;
        const headers = { ...incoming.headers, host: new URL(url).host };
        const onward = request(url + incoming.url, { method: incoming.method, headers }, answer => {
            outgoing.writeHead(answer.statusCode, answer.headers);
            outgoing.flushHeaders();
            if (incoming.method !== 'POST' || !answer.headers['content-type']?.startsWith('text/event-stream')) {
                answer.pipe(outgoing);
                return;
            }
            let rest = '';
            let passed = 0;
            answer.setEncoding('utf8');
            answer.on('data', text => {
                const events = (rest + text).split(/(?<=\n\n)/);
                rest = events.at(-1).endsWith('\n\n') ? '' : events.pop();
                for (const event of events) {
                    if (/^data: \{/m.test(event) && ++passed > n && !seen.cut) {
                        seen.cut = true;
                        answer.destroy();
                        if (how === 'broken') outgoing.write(event.slice(0, event.length / 2), () => outgoing.destroy());
                        else outgoing.end();
                        return;
                    }
                    outgoing.write(event);
                }
            });
            answer.on('end', () => outgoing.end(rest));
        });
        onward.on('error', () => outgoing.destroy());
        outgoing.on('close', () => onward.destroy());
        incoming.pipe(onward);
    });
    proxy.listen(0, '127.0.0.1');
    await once(proxy, 'listening');
    return {
        url: `http://127.0.0.1:${proxy.address().port}`,
        seen,
        stop() {
            proxy.closeAllConnections();
            proxy.close();
        }
    };
}
