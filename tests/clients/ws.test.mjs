// MQTT.js over WebSocket against the broker that TEST_BROKER names (ws:// or wss://host:port/path). Run by TestMQTTJSOverWebSocket.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import mqtt from 'mqtt'

const url = process.env.TEST_BROKER
const options = { reconnectPeriod: 0, rejectUnauthorized: false }

for (const protocolVersion of [4, 5]) {
  test(`messages small and large, version ${protocolVersion}`, async () => {
    const client = await mqtt.connectAsync(url, { ...options, protocolVersion })
    await client.subscribeAsync('ws/#', { qos: 2 })
    const got = []
    client.on('message', (topic, payload) => {
      got.push(`${topic} ${payload.length}`)
      client.emit('got')
    })
    const want = []
    for (const qos of [0, 1, 2]) {
      for (const size of [0, 1, 125, 126, 60000]) {
        want.push(`ws/${qos} ${size}`)
        await client.publishAsync(`ws/${qos}`, Buffer.alloc(size, 'x'), { qos })
      }
    }
    while (got.length < want.length) await once(client, 'got', { signal: AbortSignal.timeout(20000) })
    assert.deepEqual(got.sort(), want.sort())
    await client.endAsync()
  })
}

test('many packets in few frames', async () => {
  const client = await mqtt.connectAsync(url, options)
  await client.subscribeAsync('ws/many', { qos: 1 })
  let count = 0
  const all = new Promise((resolve) => client.on('message', () => { if (++count === 2000) resolve() }))
  client.stream.cork()
  for (let i = 0; i < 2000; i++) client.publish('ws/many', String(i), { qos: i % 2 })
  client.stream.uncork()
  await all
  await client.endAsync()
})
