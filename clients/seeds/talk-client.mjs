// Two-way talk: what comes is a stream, what goes is a POST with the stream's
// session ID.
import { EventSource } from 'eventsource';

export class Talk {
    sessionId = null;

    // told is called with each text that comes, and with the greeting.
    constructor(url, headers, told) {
        Object.assign(this, { url, headers, told });
        this.source = new EventSource(`${url}/downward`, {
            fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...headers } })
        });
        this.ready = new Promise((resolve, reject) => {
            this.source.addEventListener('welcome', event => {
                const { sessionId, text, timestamp } = JSON.parse(event.data);
                this.sessionId = sessionId;
                told({ text, timestamp });
                resolve();
            });
            this.source.onerror = error => reject(new Error(error.message)); // after the welcome it changes nothing
        });
        this.source.onmessage = event => told(JSON.parse(event.data));
    }

    async send(text, sessionId = this.sessionId) {
        const answer = await fetch(`${this.url}/upward`, {
            method: 'POST',
            headers: { 'content-type': 'application/json', 'x-session-id': sessionId, ...this.headers },
            body: JSON.stringify({ text })
        });
        return { http: answer.status, ...await answer.json() };
    }

    close() {
        this.source.close();
    }
}
