// A page that is opened from disk may start no worker, so the search would not answer. There a
// hidden frame runs the worker's script, and messages are passed on.
if (location.protocol === "file:") {
  const load = (page, address) =>
    new Promise((done, failed) => {
      const script = page.createElement("script")
      script.src = address
      script.onload = done
      script.onerror = failed
      page.body.appendChild(script)
    })

  window.Worker = class extends EventTarget {
    constructor(address) {
      super()
      this.waiting = []
      const frame = document.createElement("iframe")
      frame.hidden = true
      frame.title = "search"
      frame.addEventListener("load", () => this.start(frame.contentWindow, address), { once: true })
      document.documentElement.appendChild(frame)
    }

    async start(inside, address) {
      inside.postMessage = data => this.dispatchEvent(new MessageEvent("message", { data }))
      inside.importScripts = async (...addresses) => {
        for (const each of addresses) await load(inside.document, each)
      }
      await load(inside.document, address)
      this.receive = data => inside.dispatchEvent(new MessageEvent("message", { data }))
      this.waiting.forEach(this.receive)
      this.waiting = null
    }

    postMessage(data) {
      if (this.waiting === null) this.receive(data)
      else this.waiting.push(data)
    }

    terminate() {}
  }
}
