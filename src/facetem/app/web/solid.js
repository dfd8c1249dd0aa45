// A polyhedron in parallel projection, to scale: drag or arrow keys turn it. Drawn as vectors: no WebGL, which a
// microscope's computer, or one that is used from afar, often does not have.
export default {
  template: `
  <figure class="ft-solid">
    <svg ref="view" :viewBox="[-half, -half, 2 * half, 2 * half].join(' ')" tabindex="0" role="img" :aria-label="title + '; drag or use the arrow keys to turn it, 0 looks along the beam'"
      :data-faces="drawn.length" @pointerdown="down" @pointermove="move" @pointerup="held = null" @pointercancel="held = null" @keydown="key" @dblclick="reset">
      <polygon v-for="(f, i) in drawn" :key="i" :points="f.points" :fill="f.fill" :stroke="edge" :stroke-width="half / 130" stroke-linejoin="round"><title>{{ f.kind ? '{' + f.kind + '}' : '' }}</title></polygon>
      <g class="ft-solidbar"><path :d="'M' + (-half * 0.92) + ' ' + half * 0.9 + 'h2'" :stroke-width="half / 50"/><text :x="-half * 0.92 + 1" :y="half * 0.85" :font-size="half / 8">2 nm</text></g>
    </svg>
    <figcaption><span v-for="(colour, kind) in legend" :key="kind"><i :style="{ background: colour }"></i>{{ '{' + kind + '}' }}</span>
      <button v-if="turned" type="button" @click="reset">along the beam</button></figcaption>
  </figure>`,
  props: { faces: Array, legend: Object, half: Number, title: String },
  data: () => ({ r: [1, 0, 0, 0, 1, 0, 0, 0, 1], held: null, turned: false, edge: "#22262b" }),
  computed: {
    drawn() {
      const r = this.r, light = [-0.4, -0.55, -0.73];
      const turn = ([x, y, z]) => [r[0] * x + r[1] * y + r[2] * z, r[3] * x + r[4] * y + r[5] * z, r[6] * x + r[7] * y + r[8] * z];
      const faces = [];
      for (const f of this.faces) {
        const c = f.corners.map(turn), n = [0, 0, 0], m = [0, 0, 0];
        c.forEach((p, i) => {
          const q = c[(i + 1) % c.length];
          n[0] += p[1] * q[2] - p[2] * q[1]; n[1] += p[2] * q[0] - p[0] * q[2]; n[2] += p[0] * q[1] - p[1] * q[0];
          m[2] += p[2] / c.length;
        });
        const size = Math.hypot(...n) || 1;
        if (n[2] / size > -1e-3) continue;  // it faces away: the beam comes from the eye, z goes away from it
        const bright = 0.55 + 0.5 * Math.max(0, (n[0] * light[0] + n[1] * light[1] + n[2] * light[2]) / size);
        const rgb = [1, 3, 5].map((k) => Math.min(255, Math.round(bright * parseInt(f.colour.slice(k, k + 2), 16))));
        faces.push({ kind: f.kind, depth: m[2], fill: `rgb(${rgb})`, points: c.map((p) => p[0].toFixed(3) + "," + p[1].toFixed(3)).join(" ") });
      }
      return faces.sort((a, b) => b.depth - a.depth);
    },
  },
  watch: { faces() { this.reset(); } },
  methods: {
    reset() { this.r = [1, 0, 0, 0, 1, 0, 0, 0, 1]; this.turned = false; },
    rotate(a, b) {  // about the screen's y, then x
      const [c, s, d, t] = [Math.cos(a), Math.sin(a), Math.cos(b), Math.sin(b)], r = this.r;
      const x = [0, 1, 2].map((k) => c * r[k] - s * r[6 + k]), z = [0, 1, 2].map((k) => s * r[k] + c * r[6 + k]), y = r.slice(3, 6);
      this.r = [...x, ...y.map((v, k) => d * v - t * z[k]), ...y.map((v, k) => t * v + d * z[k])];
      this.turned = true;
    },
    down(e) { this.held = [e.clientX, e.clientY]; this.$refs.view.setPointerCapture(e.pointerId); },
    move(e) { if (!this.held) return; this.rotate((this.held[0] - e.clientX) / 110, (e.clientY - this.held[1]) / -110); this.held = [e.clientX, e.clientY]; },
    key(e) {
      const step = { ArrowLeft: [0.15, 0], ArrowRight: [-0.15, 0], ArrowUp: [0, 0.15], ArrowDown: [0, -0.15] }[e.key];
      if (step) { e.preventDefault(); this.rotate(...step); }
      if (e.key === "0") this.reset();
    },
  },
};
