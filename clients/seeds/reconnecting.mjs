// The notification service's client: an EventSource wrapped so that it counts
// its tries, waits longer after each, and gives up.
import { EventSource } from 'eventsource';

export class ReconnectingSource {
    retries = 0;
    delays = []; // that were waited, in milliseconds
    state = 'closed'; // connecting, open, waiting, failed
    lastEventId = '';
    #handlers = new Map();

    constructor(url, { headers = {}, maxRetries = 10, wait = (ms, then) => setTimeout(then, ms) } = {}) {
        Object.assign(this, { url, headers, maxRetries, wait });
    }

    // handle is given the data and the event.
    on(type, handle) {
        if (!this.#handlers.has(type)) this.#handlers.set(type, []);
        this.#handlers.get(type).push(handle);
        if (this.source) this.#listen(type);
        return this;
    }

    connect() {
        this.state = 'connecting';
        const url = new URL(this.url);
        if (this.lastEventId) url.searchParams.set('last_event_id', this.lastEventId);
        this.source = new EventSource(url, {
            fetch: (input, init) => fetch(input, { ...init, headers: { ...init.headers, ...this.headers } })
        });
        this.source.onopen = () => {
            this.state = 'open';
            this.retries = 0;
        };
        this.source.onerror = error => this.#retry(error);
        for (const type of this.#handlers.keys()) this.#listen(type);
        return this;
    }

    close() {
        this.state = 'closed';
        this.source?.close();
        clearTimeout(this.timer);
    }

    #listen(type) {
        this.source.addEventListener(type, event => {
            if (event.lastEventId) this.lastEventId = event.lastEventId;
            for (const handle of this.#handlers.get(type)) handle(JSON.parse(event.data), event);
        });
    }

    // The EventSource would come back at the server's pace; this one has its own.
    #retry(error) {
        this.source.close();
        if (this.state === 'closed') return;
        this.lastError = error;
        if (this.retries === this.maxRetries) {
            this.state = 'failed';
            return;
        }
        const delay = Math.min(1000 * 2 ** this.retries++, 30_000);
        this.delays.push(delay);
        this.state = 'waiting';
        this.timer = this.wait(delay, () => this.connect());
    }
}
