// MQTT.js against the broker that TEST_BROKER names (mqtt://host:port). Run by TestMQTTJS.
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import mqtt from 'mqtt'

const url = process.env.TEST_BROKER

// connect waits for CONNACK; session is its Session Present flag.
async function connect(clientId, options = {}) {
  const client = mqtt.connect(url, { clientId, reconnectPeriod: 0, ...options })
  client.inbox = []
  client.on('message', (topic, payload, packet) => {
    client.inbox.push({ topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain })
    client.emit('inbox')
  })
  const [connack] = await once(client, 'connect')
  client.session = connack.sessionPresent
  return client
}

async function received(client, count) {
  while (client.inbox.length < count) await once(client, 'inbox', { signal: AbortSignal.timeout(20000) })
  return client.inbox.slice(0, count)
}

for (const [name, version] of [['3.1', { protocolVersion: 3, protocolId: 'MQIsdp' }], ['3.1.1', { protocolVersion: 4 }]]) {
  test(`${name}: QoS 0, 1 and 2 in both directions`, async () => {
    const sub = await connect(`js-sub-${name}`, version)
    const pub = await connect(`js-pub-${name}`, version)
    const grants = await sub.subscribeAsync({ [`js/${name}/0`]: { qos: 0 }, [`js/${name}/1`]: { qos: 1 }, [`js/${name}/2`]: { qos: 2 } })
    assert.deepEqual(grants.map((g) => g.qos), [0, 1, 2])
    for (const qos of [0, 1, 2]) await pub.publishAsync(`js/${name}/${qos}`, `at ${qos}`, { qos })
    const messages = await received(sub, 3)
    assert.deepEqual(messages.map((m) => [m.topic, m.payload, m.qos]).sort(),
      [0, 1, 2].map((q) => [`js/${name}/${q}`, `at ${q}`, q]))
    await sub.endAsync()
    await pub.endAsync()
  })
}

test('a retained message comes with the flag, live ones without', async () => {
  const client = await connect('js-retain')
  await client.publishAsync('js/retained', 'kept', { qos: 1, retain: true })
  await client.subscribeAsync('js/+', { qos: 1 })
  await client.publishAsync('js/retained', 'live', { qos: 1, retain: true })
  const messages = await received(client, 2)
  assert.deepEqual(messages.map((m) => [m.payload, m.retain]), [['kept', true], ['live', false]])
  await client.publishAsync('js/retained', '', { qos: 1, retain: true })
  await client.endAsync()
})

test('the will of a client that is lost is published, that of one that says good-bye is not', async () => {
  const watcher = await connect('js-watcher')
  await watcher.subscribeAsync('js/will/+', { qos: 1 })
  const polite = await connect('js-polite', { will: { topic: 'js/will/polite', payload: 'lost', qos: 1 } })
  await polite.endAsync()
  const lost = await connect('js-lost', { will: { topic: 'js/will/lost', payload: 'lost', qos: 1 } })
  lost.stream.destroy()
  const [message] = await received(watcher, 1)
  assert.deepEqual([message.topic, message.payload, message.qos], ['js/will/lost', 'lost', 1])
  await watcher.endAsync()
})

test('a persistent session keeps subscriptions and messages', async () => {
  const first = await connect('js-persistent', { clean: false })
  assert.equal(first.session, false)
  await first.subscribeAsync('js/kept', { qos: 2 })
  await first.endAsync()
  const pub = await connect('js-publisher')
  for (const n of ['1', '2', '3']) await pub.publishAsync('js/kept', n, { qos: 2 })
  const second = await connect('js-persistent', { clean: false })
  assert.equal(second.session, true)
  const messages = await received(second, 3)
  assert.deepEqual(messages.map((m) => m.payload), ['1', '2', '3'])
  await second.endAsync()
  const clean = await connect('js-persistent', { clean: true })
  assert.equal(clean.session, false)
  await clean.endAsync()
  await pub.endAsync()
})

test('a second connection of a client identifier takes over', async () => {
  const first = await connect('js-twin', { clean: false })
  await first.subscribeAsync('js/twin', { qos: 1 })
  const closed = once(first, 'close')
  const second = await connect('js-twin', { clean: false })
  await closed
  assert.equal(second.session, true)
  await second.publishAsync('js/twin', 'mine', { qos: 1 })
  const [message] = await received(second, 1)
  assert.equal(message.payload, 'mine')
  await second.endAsync()
})

test('unsubscribed topics stay silent', async () => {
  const client = await connect('js-unsubscribe')
  await client.subscribeAsync(['js/off', 'js/on'])
  await client.unsubscribeAsync('js/off')
  await client.publishAsync('js/off', 'x', { qos: 1 })
  await client.publishAsync('js/on', 'x', { qos: 1 })
  const [message] = await received(client, 1)
  assert.equal(message.topic, 'js/on')
  await client.endAsync()
})
