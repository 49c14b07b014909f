// The script of the page at / of a WebSocket listener, in a browser made of what it uses. TEST_BROKER is its URL. Run by
// TestPageOfTheListenerTalksToIt. WebSocket is that of ws, which MQTT.js brings along.
import assert from 'node:assert/strict'
import { test } from 'node:test'
import vm from 'node:vm'
import { WebSocket } from 'ws'

const url = new URL(process.env.TEST_BROKER)

test('the page connects, subscribes and publishes', async () => {
  const answer = await fetch(url)
  assert.equal(answer.status, 200)
  assert.match(answer.headers.get('content-security-policy'), /default-src 'none'/)
  const html = await answer.text()
  assert.doesNotMatch(html, /<script[^>]+src=|https?:\/\//, 'the page loads nothing from elsewhere')
  const script = /<script>([\s\S]*)<\/script>/.exec(html)[1]

  const elements = {}
  const element = (id) => {
    const value = new RegExp(`id="${id}" value="([^"]*)"`).exec(html)?.[1] ?? ''
    return elements[id] ??= { value, textContent: '', scrollHeight: 0, disabled: true }
  }
  element('subqos').value = element('pubqos').value = '1'
  vm.runInContext(script, vm.createContext({
    document: { getElementById: element, querySelectorAll: () => [element('button')] },
    location: url, WebSocket, TextEncoder, TextDecoder, setInterval, clearInterval,
  }))

  const submit = (form) => element(form).onsubmit({ preventDefault() {} })
  const until = async (what, done) => {
    const deadline = Date.now() + 20000
    while (!done()) {
      assert.ok(Date.now() < deadline, `${what}: it does not happen\n${element('log').textContent}`)
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
  }
  const logged = (line) => until(line, () => element('log').textContent.includes(line + '\n'))

  submit('connect')
  await logged('— connected')
  assert.equal(element('status').textContent, 'connected')
  submit('subscribe')
  await logged('— subscribed')
  submit('publish')
  await logged('— acknowledged')
  await logged('test/page: hello')
  submit('connect')
  await logged('— the connection is closed')
  assert.equal(element('status').textContent, 'not connected')
})
