// The page at / of a WebSocket listener in Chromium. TEST_BROKER is its URL, TEST_CHROMIUM the program. Run by
// TestPageWorksInChromium. (page.test.mjs runs the page's script without a browser.)
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { chromium } from 'playwright-core'

const url = process.env.TEST_BROKER
const patience = { timeout: 30000 }
let browser

before(async () => {
  browser = await chromium.launch({
    executablePath: process.env.TEST_CHROMIUM,
    args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
      '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage'],
  })
})
after(() => browser.close())

async function open() {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage()
  page.setDefaultTimeout(patience.timeout)
  const errors = []
  page.on('pageerror', (e) => errors.push(String(e)))
  page.on('console', (m) => m.type() === 'error' && !/favicon/.test(m.location().url) && errors.push(m.text()))
  await page.goto(url)
  return { page, errors, logged: (line) => page.locator('#log', { hasText: line }).waitFor(patience) }
}

test('two pages talk to each other', async () => {
  const [one, two] = [await open(), await open()]
  for (const { page, logged } of [one, two]) {
    await page.click('#toggle')
    await logged('— connected')
    assert.equal(await page.textContent('#status'), 'connected')
  }
  await one.page.fill('#filter', 'browser/+')
  await one.page.selectOption('#subqos', '1')
  await one.page.click('#subscribe button')
  await one.logged('— subscribed')
  await two.page.fill('#topic', 'browser/chromium')
  await two.page.fill('#payload', 'from a browser: äöü')
  await two.page.selectOption('#pubqos', '1')
  await two.page.click('#publish button')
  await two.logged('— acknowledged')
  await one.logged('browser/chromium: from a browser: äöü')
  await one.page.click('#toggle')
  await one.logged('— the connection is closed')
  assert.equal(await one.page.textContent('#status'), 'not connected')
  assert.deepEqual([one.errors, two.errors], [[], []])
})

test('a page from elsewhere is refused where origins are listed', async () => {
  const page = await (await browser.newContext({ ignoreHTTPSErrors: true })).newPage()
  const outcome = await page.evaluate((address) => new Promise((resolve) => {
    const socket = new WebSocket(address, 'mqtt')
    socket.onopen = () => resolve('open')
    socket.onerror = () => resolve('refused')
  }), process.env.TEST_FRIENDS)
  assert.equal(outcome, 'refused')
})
