// Files from this computer: chosen or dropped anywhere on the page, each with its progress and an end to it.
export default {
  template: `
  <div class="ft-drop" :class="{ over }">
    <p><b>Drop micrographs here</b><br>or
      <button type="button" @click="$refs.files.click()">choose files</button>
      <button type="button" @click="$refs.folder.click()">a folder</button></p>
    <p class="soft">{{ extensions.join(", ") }}; up to {{ megabytes }} MB each</p>
    <input ref="files" type="file" multiple :accept="accept" hidden @change="chosen" aria-label="Micrographs to analyse">
    <input ref="folder" type="file" webkitdirectory hidden @change="chosen" aria-label="A folder of micrographs">
    <ul aria-live="polite">
      <li v-for="u in uploads" :key="u.id" :class="{ bad: u.error }">
        <span class="name">{{ u.name }}</span>
        <template v-if="u.error"><span class="why">{{ u.error }}</span><button type="button" :aria-label="'Dismiss ' + u.name" @click="gone(u)">✕</button></template>
        <template v-else><progress max="1" :value="u.part"></progress><button type="button" :aria-label="'Stop ' + u.name" @click="stop(u)">✕</button></template>
      </li>
    </ul>
  </div>`,
  props: { url: String, extensions: Array, megabytes: Number },
  data: () => ({ over: false, uploads: [], next: 0, waiting: [], running: 0 }),
  computed: { accept() { return this.extensions.map((e) => "." + e).join(","); } },
  mounted() {
    this.on = { dragover: (e) => { e.preventDefault(); this.over = true; }, dragleave: (e) => { if (!e.relatedTarget) this.over = false; },
      drop: (e) => { e.preventDefault(); this.over = false; this.take(e.dataTransfer.files, false); } };
    for (const [name, f] of Object.entries(this.on)) document.addEventListener(name, f);
  },
  unmounted() { for (const [name, f] of Object.entries(this.on)) document.removeEventListener(name, f); },
  methods: {
    chosen(e) { this.take(e.target.files, e.target.webkitdirectory); e.target.value = ""; },
    take(files, quiet) {
      for (const file of files) {
        if (quiet && !this.extensions.includes(file.name.split(".").pop().toLowerCase())) continue;
        const u = { id: this.next++, name: file.name, part: 0, error: "" };
        this.uploads.push(u);
        const entry = this.uploads[this.uploads.length - 1];
        if (file.size > this.megabytes * 1e6) { entry.error = `expected at most ${this.megabytes} MB, got ${Math.round(file.size / 1e6)} MB`; continue; }
        this.waiting.push([entry, file]);
      }
      this.more();
    },
    more() { while (this.running < 3 && this.waiting.length) this.send(...this.waiting.shift()); },
    send(u, file) {
      const request = new XMLHttpRequest(), end = () => { this.running--; this.more(); };
      this.running++;
      u.request = Vue.markRaw(request);
      request.open("POST", this.url);
      request.setRequestHeader("X-Name", encodeURIComponent(file.name));
      request.setRequestHeader("Content-Type", "application/octet-stream");
      request.upload.onprogress = (e) => { if (e.lengthComputable) u.part = e.loaded / e.total; };
      request.onload = () => {
        let told = {};
        try { told = JSON.parse(request.responseText); } catch { /* no JSON: the status is all that is known */ }
        if (request.status < 300) { this.gone(u); this.$emit("sent", told); }
        else u.error = told.error ?? `refused (${request.status})`;
        end();
      };
      request.onerror = () => { u.error = "the connection ended; send it again"; end(); };
      request.onabort = end;
      request.send(file);
    },
    stop(u) { this.waiting = this.waiting.filter(([k]) => k.id !== u.id); u.request?.abort(); this.gone(u); },
    gone(u) { this.uploads = this.uploads.filter((k) => k.id !== u.id); },
  },
};
