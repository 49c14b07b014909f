// MQTT.js as a client of MQTT 5 against the broker that TEST_BROKER names, and one
// with features switched off, TEST_LIMITED (mqtt://host:port). Run by TestMQTTJS5.
import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { test } from 'node:test'
import mqtt from 'mqtt'

const url = process.env.TEST_BROKER
const patience = () => ({ signal: AbortSignal.timeout(20000) })

// begin makes a client that records what it receives.
function begin(clientId, options = {}, to = url) {
  const client = mqtt.connect(to, { protocolVersion: 5, clientId, reconnectPeriod: 0, ...options })
  client.inbox = []
  client.acks = []
  client.on('packetreceive', (packet) => {
    if (['puback', 'pubrec', 'suback', 'unsuback'].includes(packet.cmd)) client.acks.push(packet)
  })
  client.on('message', (topic, payload, packet) => {
    client.inbox.push({ ...packet, topic, onWire: packet.topic, payload: payload.toString() })
    client.emit('inbox')
  })
  return client
}

async function connect(clientId, options, to) {
  const client = begin(clientId, options, to)
  const [connack] = await once(client, 'connect', patience())
  client.connack = connack
  return client
}

// lasting asks for a session that outlives the connection.
const lasting = (properties = {}) => ({ clean: false, properties: { sessionExpiryInterval: 600, ...properties } })

async function received(client, count) {
  while (client.inbox.length < count) await once(client, 'inbox', patience())
  return client.inbox.slice(0, count)
}

// quiet is what came before a message that the client sends to itself now.
async function quiet(client) {
  const fence = `js5/fence/${client.options.clientId}`
  await client.subscribeAsync(fence, { qos: 0 })
  await client.publishAsync(fence, 'fence')
  while (!client.inbox.some((m) => m.topic === fence)) await once(client, 'inbox', patience())
  return client.inbox.filter((m) => m.topic !== fence)
}

const texts = (messages) => messages.map((m) => m.payload)

test('5: QoS 0, 1 and 2 in both directions', async () => {
  const client = await connect('js5-qos')
  const grants = await client.subscribeAsync({ 'js5/qos/0': { qos: 0 }, 'js5/qos/1': { qos: 1 }, 'js5/qos/2': { qos: 2 } })
  assert.deepEqual(grants.map((g) => g.qos), [0, 1, 2])
  for (const qos of [0, 1, 2]) {
    await client.publishAsync(`js5/qos/${qos}`, `at ${qos}`, { qos })
    const messages = await received(client, qos + 1)
    assert.deepEqual([messages[qos].payload, messages[qos].qos], [`at ${qos}`, qos])
  }
  await client.endAsync()
})

test('properties travel with the message, user properties in order', async () => {
  const client = await connect('js5-properties')
  await client.subscribeAsync('js5/properties', { qos: 1 })
  await client.publishAsync('js5/properties', '{}', {
    qos: 1,
    properties: {
      payloadFormatIndicator: true, messageExpiryInterval: 60, contentType: 'application/json',
      responseTopic: 'js5/answer', correlationData: Buffer.from([0, 1, 255]), userProperties: { b: ['1', '3'], a: '2' },
    },
  })
  const [{ properties }] = await received(client, 1)
  assert.equal(properties.payloadFormatIndicator, true)
  assert.ok(properties.messageExpiryInterval > 0 && properties.messageExpiryInterval <= 60)
  assert.equal(properties.contentType, 'application/json')
  assert.equal(properties.responseTopic, 'js5/answer')
  assert.deepEqual([...properties.correlationData], [0, 1, 255])
  assert.deepEqual({ ...properties.userProperties }, { b: ['1', '3'], a: '2' })
  await client.endAsync()
})

test('a request is answered at its response topic', async () => {
  const server = await connect('js5-server')
  const client = await connect('js5-client')
  await server.subscribeAsync('js5/rpc', { qos: 1 })
  await client.subscribeAsync('js5/rpc/answers', { qos: 1 })
  server.on('message', (topic, payload, { properties }) => {
    server.publish(properties.responseTopic, `re: ${payload}`, { qos: 1, properties: { correlationData: properties.correlationData } })
  })
  await client.publishAsync('js5/rpc', 'question', { qos: 1, properties: { responseTopic: 'js5/rpc/answers', correlationData: Buffer.from('7') } })
  const [answer] = await received(client, 1)
  assert.deepEqual([answer.payload, answer.properties.correlationData.toString()], ['re: question', '7'])
  await server.endAsync()
  await client.endAsync()
})

test('a session outlives its connection for its interval, clean start discards it', async () => {
  const first = await connect('js5-session', lasting())
  assert.equal(first.connack.sessionPresent, false)
  await first.subscribeAsync('js5/kept', { qos: 2 })
  await first.endAsync()
  const pub = await connect('js5-session-pub')
  for (const n of ['1', '2', '3']) await pub.publishAsync('js5/kept', n, { qos: 2 })
  const second = await connect('js5-session', lasting())
  assert.equal(second.connack.sessionPresent, true)
  assert.deepEqual(texts(await received(second, 3)), ['1', '2', '3'])
  await second.endAsync()
  await pub.publishAsync('js5/kept', 'discarded', { qos: 2 })
  const clean = await connect('js5-session', { ...lasting(), clean: true })
  assert.equal(clean.connack.sessionPresent, false)
  assert.deepEqual(await quiet(clean), [])
  await clean.endAsync()
  await pub.endAsync()
})

test('a session ends when its interval is over, and its will does not wait longer', async () => {
  const watcher = await connect('js5-brief-watcher')
  await watcher.subscribeAsync('js5/brief', { qos: 1 })
  const will = {
    topic: 'js5/brief', payload: 'over', qos: 1,
    properties: { willDelayInterval: 600, contentType: 'text/plain', userProperties: { k: 'v' } },
  }
  const brief = await connect('js5-brief', { ...lasting({ sessionExpiryInterval: 1 }), will })
  brief.stream.destroy()
  const [message] = await received(watcher, 1)
  assert.deepEqual([message.payload, message.properties.contentType, message.properties.userProperties.k], ['over', 'text/plain', 'v'])
  const back = await connect('js5-brief', lasting())
  assert.equal(back.connack.sessionPresent, false)
  await back.endAsync()
  await watcher.endAsync()
})

test('DISCONNECT with will message publishes the will', async () => {
  const watcher = await connect('js5-will-watcher')
  await watcher.subscribeAsync('js5/will/+', { qos: 1 })
  const polite = await connect('js5-polite', { will: { topic: 'js5/will/polite', payload: 'x', qos: 1 } })
  await polite.endAsync()
  const frank = await connect('js5-frank', { will: { topic: 'js5/will/frank', payload: 'x', qos: 1 } })
  await frank.endAsync(false, { reasonCode: 4 })
  const [message] = await received(watcher, 1)
  assert.equal(message.topic, 'js5/will/frank')
  assert.equal((await quiet(watcher)).length, 1)
  await watcher.endAsync()
})

test('a will waits for its delay, which coming back ends', async () => {
  const watcher = await connect('js5-delay-watcher')
  await watcher.subscribeAsync('js5/delay/+', { qos: 1 })
  const will = (who, willDelayInterval) => ({ ...lasting(), will: { topic: `js5/delay/${who}`, payload: who, qos: 1, properties: { willDelayInterval } } })
  const returning = await connect('js5-returning', will('returning', 1))
  returning.stream.destroy()
  const returned = await connect('js5-returning', lasting())
  const lost = await connect('js5-lost', will('lost', 3))
  lost.stream.destroy()
  const [message] = await received(watcher, 1)
  assert.equal(message.payload, 'lost')
  await returned.endAsync()
  await watcher.endAsync()
})

test('acknowledgements carry reason codes', async () => {
  const client = await connect('js5-codes')
  await client.publishAsync('js5/nobody', 'x', { qos: 1 })
  await client.publishAsync('js5/nobody', 'x', { qos: 2 })
  assert.deepEqual(client.acks.map((p) => [p.cmd, p.reasonCode]), [['puback', 16], ['pubrec', 16]])
  client.acks.length = 0
  await client.subscribeAsync('js5/codes', { qos: 1 })
  await client.unsubscribeAsync(['js5/codes', 'js5/codes/never'])
  assert.deepEqual(client.acks.map((p) => [p.cmd, [...p.granted]]), [['suback', [1]], ['unsuback', [0, 17]]])
  await client.endAsync()
})

test('a client without identifier is given one', async () => {
  const client = await connect('', { clean: true })
  assert.match(client.connack.properties.assignedClientIdentifier, /./)
  await client.endAsync()
})

test('a client that is taken over is told', async () => {
  const first = await connect('js5-twin')
  const told = once(first, 'disconnect', patience())
  const second = await connect('js5-twin')
  const [packet] = await told
  assert.equal(packet.reasonCode, 0x8e)
  await second.endAsync()
})

test('the largest packet of either side', async () => {
  const small = await connect('js5-small', { properties: { maximumPacketSize: 200 } })
  await small.subscribeAsync('js5/large', { qos: 1 })
  const pub = await connect('js5-large')
  await pub.publishAsync('js5/large', 'x'.repeat(200), { qos: 1 })
  await pub.publishAsync('js5/large', 'fits', { qos: 1 })
  assert.deepEqual(texts(await received(small, 1)), ['fits'])
  assert.ok(pub.connack.properties.maximumPacketSize >= 65536)
  const told = once(pub, 'disconnect', patience())
  pub.publish('js5/large', 'x'.repeat(pub.connack.properties.maximumPacketSize), { qos: 0 })
  const [packet] = await told
  assert.equal(packet.reasonCode, 0x95)
  await small.endAsync()
})

test('never more than the receive maximum is unacknowledged', async () => {
  const sub = begin('js5-quota', { properties: { receiveMaximum: 2 } })
  const held = []
  sub.handleMessage = (packet, done) => { // PUBACK waits for done
    if (packet.qos === 0) return done()
    held.push({ text: packet.payload.toString(), done })
    sub.emit('held')
  }
  await once(sub, 'connect', patience())
  await sub.subscribeAsync('js5/quota', { qos: 1 })
  const pub = await connect('js5-quota-pub')
  const seen = []
  sub.on('packetreceive', (packet) => {
    if (packet.cmd !== 'publish' || packet.qos === 0) return
    seen.push(packet.payload.toString())
    assert.ok(seen.length - acknowledged <= 2, `${seen.length - acknowledged} are unacknowledged`)
  })
  let acknowledged = 0
  for (let n = 0; n < 6; n++) await pub.publishAsync('js5/quota', `${n}`, { qos: 1 })
  while (acknowledged < 6) {
    while (held.length === 0) await once(sub, 'held', patience())
    acknowledged++
    held.shift().done()
  }
  assert.deepEqual(seen, ['0', '1', '2', '3', '4', '5'])
  await sub.endAsync()
  await pub.endAsync()
})

test('topic aliases in both directions', async () => {
  const sub = await connect('js5-alias-sub', { properties: { topicAliasMaximum: 2 } })
  await sub.subscribeAsync('js5/alias/#', { qos: 1 })
  const pub = await connect('js5-alias-pub', { autoAssignTopicAlias: true })
  assert.equal(pub.connack.properties.topicAliasMaximum, 32)
  const want = []
  for (let n = 0; n < 24; n++) {
    const topic = `js5/alias/${Math.floor(n / 4) % 3}`
    want.push([topic, `${n}`])
    await pub.publishAsync(topic, `${n}`, { qos: n % 2 })
    await received(sub, n + 1)
  }
  assert.deepEqual(sub.inbox.map((m) => [m.topic, m.payload]), want)
  assert.ok(sub.inbox.some((m) => m.onWire.length === 0), 'the broker left no topic out')
  await sub.endAsync()
  await pub.endAsync()
})

test('subscription identifiers come with the message, all of them in one copy', async () => {
  const client = await connect('js5-identified')
  await client.subscribeAsync('js5/id/#', { qos: 0, properties: { subscriptionIdentifier: 1 } })
  await client.subscribeAsync('js5/id/a', { qos: 2, properties: { subscriptionIdentifier: 268435455 } })
  await client.publishAsync('js5/id/a', 'both', { qos: 2 })
  await client.publishAsync('js5/id/b', 'one', { qos: 1 })
  const messages = await quiet(client)
  assert.deepEqual(texts(messages), ['both', 'one'])
  assert.deepEqual([...messages[0].properties.subscriptionIdentifier].sort(), [1, 268435455])
  assert.deepEqual([messages[0].qos, messages[1].qos, messages[1].properties.subscriptionIdentifier], [2, 0, 1])
  await client.endAsync()
})

test('no local, retain as published and retain handling', async () => {
  const client = await connect('js5-options')
  const other = await connect('js5-options-other')
  await client.publishAsync('js5/options/old', 'kept', { qos: 1, retain: true })
  await client.subscribeAsync('js5/options/#', { qos: 1, nl: true, rap: true, rh: 2 })
  await client.publishAsync('js5/options/mine', 'mine', { qos: 1 })
  await other.publishAsync('js5/options/theirs', 'plain', { qos: 1 })
  await other.publishAsync('js5/options/old', 'flagged', { qos: 1, retain: true })
  assert.deepEqual((await quiet(client)).map((m) => [m.payload, m.retain]), [['plain', false], ['flagged', true]])
  await other.subscribeAsync('js5/options/old', { qos: 1, rh: 1 })
  await received(other, 1)
  other.options.resubscribe = false
  await other.subscribeAsync({ 'js5/options/old': { qos: 2, nl: false, rap: false, rh: 1 } }) // not new
  assert.deepEqual((await quiet(other)).map((m) => [m.payload, m.retain]), [['flagged', true]])
  await client.publishAsync('js5/options/old', '', { qos: 1, retain: true })
  await client.endAsync()
  await other.endAsync()
})

test('a shared subscription gets no retained messages and splits the others', async () => {
  const pub = await connect('js5-boss')
  await pub.publishAsync('js5/jobs/old', 'retained', { qos: 1, retain: true })
  const members = []
  for (const n of [1, 2, 3]) {
    members.push(await connect(`js5-member-${n}`))
    await members.at(-1).subscribeAsync('$share/js5/js5/jobs/+', { qos: 1 })
  }
  const want = []
  for (let n = 10; n < 40; n++) {
    want.push(`${n}`)
    await pub.publishAsync('js5/jobs/new', `${n}`, { qos: 1 })
  }
  const got = []
  for (const member of members) got.push(...texts(await quiet(member)))
  assert.deepEqual(got.sort(), want)
  await pub.publishAsync('js5/jobs/old', '', { qos: 1, retain: true })
  for (const client of [pub, ...members]) await client.endAsync()
})

test('messages between 5 and 3.1.1', async () => {
  const young = await connect('js5-young')
  const old = await connect('js5-old', { protocolVersion: 4 })
  await young.subscribeAsync('js5/mixed', { qos: 2 })
  await old.subscribeAsync('js5/mixed', { qos: 2 })
  await young.publishAsync('js5/mixed', 'from 5', { qos: 2, properties: { contentType: 'text/plain', userProperties: { k: 'v' } } })
  for (const client of [young, old]) assert.deepEqual(texts(await received(client, 1)), ['from 5'])
  await old.publishAsync('js5/mixed', 'from 3.1.1', { qos: 2 })
  for (const client of [young, old]) assert.deepEqual(texts(await received(client, 2)), ['from 5', 'from 3.1.1'])
  assert.equal(young.inbox[0].properties.contentType, 'text/plain')
  assert.equal(young.inbox[1].properties?.contentType, undefined)
  await young.endAsync()
  await old.endAsync()
})

// scram is a client's side of SCRAM-SHA-256 (RFC 5802, RFC 7677).
function scram(name, password) {
  const hmac = (key, text) => createHmac('sha256', key).update(text).digest()
  const nonce = randomBytes(18).toString('base64')
  const bare = `n=${name},r=${nonce}`
  const s = { first: Buffer.from(`n,,${bare}`) }
  s.respond = (challenge) => {
    const { r, s: salt, i } = Object.fromEntries(challenge.split(',').map((x) => [x[0], x.slice(2)]))
    assert.ok(r.startsWith(nonce) && r.length > nonce.length)
    const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(i), 32, 'sha256')
    const key = hmac(salted, 'Client Key')
    const end = `c=biws,r=${r}`
    const all = `${bare},${challenge},${end}`
    const signature = hmac(createHash('sha256').update(key).digest(), all)
    s.verifier = `v=${hmac(hmac(salted, 'Server Key'), all).toString('base64')}`
    return Buffer.from(`${end},p=${key.map((x, n) => x ^ signature[n]).toString('base64')}`)
  }
  return s
}

function authenticating(clientId, name, password) {
  const user = scram(name, password)
  const authenticationMethod = 'SCRAM-SHA-256'
  const client = begin(clientId, { properties: { authenticationMethod, authenticationData: user.first } })
  client.handleAuth = ({ reasonCode, properties }, done) => {
    assert.equal(reasonCode, 0x18)
    const authenticationData = user.respond(properties.authenticationData.toString())
    done(null, { cmd: 'auth', reasonCode: 0x18, properties: { authenticationMethod, authenticationData } })
  }
  return [client, user]
}

test('SCRAM-SHA-256 lets a user in and proves the broker', async () => {
  const [client, user] = authenticating('js5-ann', 'ann', 'secret')
  const [connack] = await once(client, 'connect', patience())
  assert.equal(connack.properties.authenticationMethod, 'SCRAM-SHA-256')
  assert.equal(connack.properties.authenticationData.toString(), user.verifier)
  await client.endAsync()
  const [guess] = authenticating('js5-guess', 'ann', 'guess')
  const [error] = await once(guess, 'error', patience())
  assert.equal(error.code, 0x87)
  await guess.endAsync(true)
})

test('features that are switched off', async () => {
  const limited = process.env.TEST_LIMITED
  const client = await connect('js5-limited', { keepalive: 60 }, limited)
  const p = client.connack.properties
  assert.deepEqual(
    [p.wildcardSubscriptionAvailable, p.sharedSubscriptionAvailable, p.subscriptionIdentifiersAvailable, p.retainAvailable, p.maximumQoS, p.serverKeepAlive],
    [false, false, false, false, 1, 7])
  const refused = async (filter, options) => {
    client.acks.length = 0
    await client.subscribeAsync(filter, options).catch(() => {})
    return client.acks.map((a) => [...a.granted])
  }
  assert.deepEqual(await refused('js5/+', { qos: 0 }), [[0xa2]])
  assert.deepEqual(await refused('$share/g/js5', { qos: 0 }), [[0x9e]])
  assert.deepEqual(await refused('js5', { qos: 0, properties: { subscriptionIdentifier: 1 } }), [[0xa1]])
  for (const [options, code] of [[{ retain: true }, 0x9a], [{ qos: 2 }, 0x9b]]) {
    const offender = await connect('js5-offender', {}, limited)
    const told = once(offender, 'disconnect', patience())
    offender.publish('js5', 'x', options)
    assert.equal((await told)[0].reasonCode, code)
    await offender.endAsync(true)
  }
  await client.endAsync()
})
