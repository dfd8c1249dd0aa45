// A micrograph and its restored or denoised image under one slider, with the outlines of its particles: zoom, pan, choose.
export default {
  template: `
  <div class="ft-viewer" role="group" aria-label="Micrograph">
    <div class="ft-stage" ref="stage" tabindex="0" aria-label="Micrograph: arrow keys move it, plus and minus zoom, 0 fits, n and p choose a particle"
      @wheel.prevent="wheel" @pointerdown="down" @pointermove="move" @pointerup="up" @pointercancel="up" @keydown="key" @dblclick="fit">
      <div class="ft-plane" :style="plane">
        <img :src="field" alt="Micrograph" draggable="false" :class="{ crisp: scale > 2.5 }" @load="$emit('shown')">
        <img v-if="name" :src="over[name]" :alt="'The micrograph, ' + name" draggable="false" :class="{ crisp: scale > 2.5 }" :style="{ clipPath: clip }">
        <svg v-show="outlines" :viewBox="'-0.5 -0.5 ' + size[0] + ' ' + size[1]">
          <g v-for="m in marks" :key="m.index" class="ft-mark" :class="{ on: m.index === selected }" tabindex="0" role="button"
             :aria-label="m.title" :data-index="m.index" @click="choose(m)" @keydown.enter.stop="choose(m)" @keydown.space.stop.prevent="choose(m)">
            <title>{{ m.title }}</title>
            <path :d="m.path" class="halo" :stroke-width="(m.index === selected ? 7 : 4.5) / scale"/>
            <path :d="m.path" :stroke="m.colour" :stroke-width="(m.index === selected ? 4 : 2.2) / scale" :stroke-dasharray="m.dashed ? 7 / scale + ' ' + 4 / scale : null"/>
            <text :x="m.x" :y="m.y" :font-size="15 / scale" :stroke-width="3.5 / scale">{{ m.index }}{{ m.label ? ' ✎' : '' }}</text>
          </g>
        </svg>
      </div>
      <div v-if="name && split > 0 && split < 100" class="ft-divider" :style="{ left: split + '%' }"></div>
      <span v-if="name" class="ft-side left" v-show="split > 12">micrograph</span>
      <span v-if="name" class="ft-side right" v-show="split < 88">{{ name }}</span>
      <div class="ft-bar" :style="{ width: bar.px + 'px' }"><span>{{ bar.text }}</span></div>
      <div class="ft-zoom">
        <button type="button" title="Zoom in (+)" aria-label="Zoom in" @click="zoom(1.4)">+</button>
        <button type="button" title="Zoom out (-)" aria-label="Zoom out" @click="zoom(1 / 1.4)">−</button>
        <button type="button" title="Whole field (0)" aria-label="Whole field" @click="fit">⤢</button>
        <button v-if="marks.length" type="button" title="Outlines (o)" aria-label="Outlines" :aria-pressed="outlines" @click="outlines = !outlines">◌</button>
      </div>
    </div>
    <div v-if="name" class="ft-wipe">
      <select :value="name" @change="chosen = $event.target.value" aria-label="What lies over the micrograph (d)" title="What lies over the micrograph (d)">
        <option v-for="(_, key) in over" :key="key">{{ key }}</option>
      </select>
      <input type="range" min="0" max="100" v-model.number="split" aria-label="How much of the field shows the micrograph, from the left">
      <span>micrograph</span></div>
  </div>`,
  props: { field: String, over: Object, marks: Array, size: Array, nm: Number, selected: Number },
  data: () => ({ scale: 1, x: 0, y: 0, split: 50, chosen: "restored", outlines: true, width: 1, touched: false, pointers: {} }),
  computed: {
    name() { return this.chosen in this.over ? this.chosen : Object.keys(this.over)[0]; },
    plane() { return { width: this.size[0] + "px", height: this.size[1] + "px", transform: `translate(${this.x}px, ${this.y}px) scale(${this.scale})` }; },
    clip() { return `inset(0 0 0 ${Math.min(this.size[0], Math.max(0, (this.split / 100 * this.width - this.x) / this.scale))}px)`; },
    bar() {
      const wanted = 150 / this.scale * this.nm, power = 10 ** Math.floor(Math.log10(wanted));
      const length = [5, 2, 1].map((k) => k * power).find((k) => k <= wanted * 1.0001);
      return { px: length / this.nm * this.scale, text: `${+length.toPrecision(3)} nm` };
    },
  },
  watch: { field() { this.touched = false; this.$nextTick(this.fit); } },
  mounted() {
    this.watching = new ResizeObserver(() => { this.width = this.$refs.stage.clientWidth; if (!this.touched) this.fit(); });
    this.watching.observe(this.$refs.stage);
  },
  unmounted() { this.watching.disconnect(); },
  methods: {
    fit() {
      const s = this.$refs.stage, w = s.clientWidth, h = s.clientHeight;
      if (!w || !h) return;
      this.width = w; this.touched = false;
      this.scale = Math.min(w / this.size[0], h / this.size[1]);
      this.x = (w - this.scale * this.size[0]) / 2; this.y = (h - this.scale * this.size[1]) / 2;
    },
    zoom(by, x, y) {
      const s = this.$refs.stage, scale = Math.min(24, Math.max(0.05, this.scale * by));
      x ??= s.clientWidth / 2; y ??= s.clientHeight / 2;
      this.x = x - (x - this.x) * scale / this.scale; this.y = y - (y - this.y) * scale / this.scale;
      this.scale = scale; this.touched = true;
    },
    at(e) { const r = this.$refs.stage.getBoundingClientRect(); return [e.clientX - r.left, e.clientY - r.top]; },
    wheel(e) { this.zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), ...this.at(e)); },
    down(e) { if (e.target.closest(".ft-zoom")) return; this.pointers[e.pointerId] = this.at(e); this.moved = 0; },
    move(e) {
      const before = this.pointers[e.pointerId];
      if (!before) return;
      const now = this.at(e), ids = Object.keys(this.pointers);
      const dx = now[0] - before[0], dy = now[1] - before[1];
      this.moved += Math.abs(dx) + Math.abs(dy);
      if (this.moved > 4) this.$refs.stage.setPointerCapture(e.pointerId);
      if (ids.length === 2) {
        const other = this.pointers[ids.find((id) => id !== String(e.pointerId))];
        const far = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]);
        this.zoom(far(now) / Math.max(1, far(before)), ...other);
      } else { this.x += dx; this.y += dy; this.touched = true; }
      this.pointers[e.pointerId] = now;
    },
    up(e) { delete this.pointers[e.pointerId]; },
    choose(m) { if (this.moved > 4) { this.moved = 0; return; } this.$emit("choose", m.index); },
    show(index) {  // bring a particle into view
      const m = this.marks.find((k) => k.index === index), s = this.$refs.stage;
      if (!m) return;
      const x = this.x + m.x * this.scale, y = this.y + m.y * this.scale, edge = 30;
      if (x < edge || y < edge || x > s.clientWidth - edge || y > s.clientHeight - edge) {
        this.x = s.clientWidth / 2 - m.x * this.scale; this.y = s.clientHeight / 2 - m.y * this.scale; this.touched = true;
      }
    },
    step(by) {
      if (!this.marks.length) return;
      const at = this.marks.findIndex((m) => m.index === this.selected), n = this.marks.length;
      const m = this.marks[at < 0 ? 0 : (at + by + n) % n];
      this.show(m.index); this.$emit("choose", m.index);
    },
    key(e) {
      const pan = { ArrowLeft: [60, 0], ArrowRight: [-60, 0], ArrowUp: [0, 60], ArrowDown: [0, -60] }[e.key];
      if (pan) { this.x += pan[0]; this.y += pan[1]; this.touched = true; }
      else if (e.key === "+" || e.key === "=") this.zoom(1.4);
      else if (e.key === "-") this.zoom(1 / 1.4);
      else if (e.key === "0") this.fit();
      else if (e.key === "n") this.step(1);
      else if (e.key === "p") this.step(-1);
      else if (e.key === "o") this.outlines = !this.outlines;
      else if (e.key === "d") { const all = Object.keys(this.over); this.chosen = all[(all.indexOf(this.name) + 1) % all.length] ?? this.chosen; }
      else return;
      e.preventDefault();
    },
  },
};
