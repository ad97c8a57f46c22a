// One face for the clients of both generations of the SDK.
import * as v2 from '@modelcontextprotocol/client';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { SSEClientTransport } from '@modelcontextprotocol/sdk/client/sse.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { ResourceListChangedNotificationSchema, ResourceUpdatedNotificationSchema } from '@modelcontextprotocol/sdk/types.js';

// How each client is made, what it must negotiate, and what it can do:
// resumes: it takes up a stream that was cut.
// listens: it subscribes with subscriptions/listen.
// tellsAll: every progress reaches onprogress. Over HTTP+SSE the SDK calls it
//   a moment after it has read the event, and no more once it has read the
//   response, so what came in one read with the response is lost by the client.
export const clients = [
    {
        name: 'sdk 1.32.2, 2025-11-25', revision: '2025-11-25', resumes: true, tellsAll: true,
        make: (url, requestInit) => [newV1(), new StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit })]
    },
    {
        name: 'sdk 1.32.2, HTTP+SSE', resumes: false, tellsAll: false,
        make: (url, requestInit) => [newV1(), new SSEClientTransport(new URL(`${url}/sse`), { requestInit })]
    },
    {
        name: 'client 2.4.0, 2026-07-28', revision: '2026-07-28', listens: true, resumes: false, tellsAll: true,
        make: (url, requestInit) => [
            newV2({ mode: { pin: '2026-07-28' } }),
            new v2.StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit })
        ]
    },
    {
        name: 'client 2.4.0, 2025-11-25', revision: '2025-11-25', resumes: true, tellsAll: true,
        make: (url, requestInit) => [
            newV2({ mode: 'legacy' }),
            new v2.StreamableHTTPClientTransport(new URL(`${url}/mcp`), { requestInit })
        ]
    },
    {
        name: 'client 2.4.0, HTTP+SSE', resumes: false, tellsAll: false,
        make: (url, requestInit) => [
            newV2({ mode: 'legacy' }),
            new v2.SSEClientTransport(new URL(`${url}/sse`), { requestInit })
        ]
    }
];

const identity = { name: 'typescript-sdk', version: '1' };

function newV1() {
    const client = new Client(identity);
    return {
        client,
        callTool: (params, options) => client.callTool(params, undefined, options),
        onUpdated: handle => client.setNotificationHandler(ResourceUpdatedNotificationSchema, n => handle(n.params.uri)),
        onListChanged: handle => client.setNotificationHandler(ResourceListChangedNotificationSchema, () => handle())
    };
}

function newV2(versionNegotiation) {
    const client = new v2.Client(identity, { versionNegotiation });
    return {
        client,
        callTool: (params, options) => client.callTool(params, options),
        onUpdated: handle => client.setNotificationHandler('notifications/resources/updated', n => handle(n.params.uri)),
        onListChanged: handle => client.setNotificationHandler('notifications/resources/list_changed', () => handle())
    };
}

// Connects a client to the server at url. Every message the transport gives the
// client is kept in received, in order.
export async function connect(how, url, token) {
    const [face, transport] = how.make(url, { headers: { Authorization: `Bearer ${token}` } });
    await face.client.connect(transport);
    const received = [];
    const deliver = transport.onmessage;
    transport.onmessage = (message, extra) => {
        received.push(message);
        deliver.call(transport, message, extra);
    };
    return { ...face, transport, received, close: () => face.client.close() };
}
