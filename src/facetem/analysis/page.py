"""The report as one HTML file that needs nothing else: style, script and images are inside."""

from __future__ import annotations

from collections import Counter
from html import escape
from importlib.resources import files
from statistics import mean, median, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from facetem.analysis.analyze import Analysis
from facetem.analysis.page_parts import dot, embed, meter, picture, spoken_in_html
from facetem.analysis.particles import SMALLEST
from facetem.analysis.result import ParticleResult
from facetem.core.words import number, spoken
from facetem.data.movies import movie_words
from facetem.learn.conformal import COVERAGE
from facetem.learn.matter import metal_name

_FAINT = "#9aa3ad"


def page(analysis: Analysis) -> str:
    """The report of one analysis as HTML text."""
    from facetem.analysis.report import verdict_colours

    colours = verdict_colours(analysis)
    resources = files("facetem.analysis")
    style = resources.joinpath("page.css").read_text(encoding="utf-8")
    script = resources.joinpath("page.js").read_text(encoding="utf-8")
    name = escape(analysis.micrograph.name)
    meaning = (
        resources.joinpath("meaning.html")
        .read_text(encoding="utf-8")
        .format(coverage=f"{100 * COVERAGE:g}&nbsp;%", metal=escape(analysis.learnt.metal))
    )
    body = [
        _header(analysis),
        _fields(analysis, colours),
        _table(analysis.particles, colours) if analysis.particles else _nothing(analysis),
        _statistics(analysis, colours),
        _gallery(analysis, colours),
        f'<section class="prose"><h2>What these numbers mean</h2>{meaning}</section>',
        _provenance(analysis),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{name} – facetem</title><style>{style}</style></head><body><main>"
        + "\n".join(part for part in body if part)
        + f"</main><script>{script}</script></body></html>\n"
    )


def _header(analysis: Analysis) -> str:
    micrograph = analysis.micrograph
    ny, nx = micrograph.image.shape
    y, x = (length / 10 for length in micrograph.extent)
    origin = {"file": "from the file", "given": "given by the user"}.get(
        str(micrograph.metadata.get("pixel_size_from")), ""
    )
    facts = [
        f"{x:.1f} × {y:.1f} nm field",
        f"{nx} × {ny} px",
        f"{micrograph.sampling / 10:.4g} nm/px"
        + (f" ({origin})" if origin else "")
        + f", {_checked(analysis)}",
    ]
    movie = movie_words(micrograph.metadata)
    if movie:
        facts.append(movie)
    energy = micrograph.metadata.get("beam_energy_kev")
    if energy:
        facts.append(f"{energy:g} kV")
    return (
        f'<header><p class="brand">facetem</p><h1>{escape(micrograph.name)}</h1>'
        f'<p class="facts">{" · ".join(facts)}</p><p class="summary">{_summary(analysis)}</p>'
        f"{_warning(analysis)}</header>"
    )


def _checked(analysis: Analysis) -> str:
    """Whether the lattice of the particles has anything to say of the pixel size."""
    scale = analysis.scale
    if scale is not None and scale.disagrees:
        return "which the lattice contradicts"
    if scale is None or not scale.agrees:
        return "not checked: no lattice is clear enough"
    metal = f"{metal_name(scale.element)} {scale.metal_spacings[0] / 10:.4f} nm"
    return f"which the lattice agrees with ({scale.spacing / 10:.4f} nm; {metal})"


def _warning(analysis: Analysis) -> str:
    text = analysis.warning
    return f'<p class="warning" role="note">{escape(text[0].upper() + text[1:])}.</p>' if text else ""


def _summary(analysis: Analysis) -> str:
    particles = analysis.particles
    if not particles:
        return "No particle found."
    cut = sum(p.cut_by_edge for p in particles)
    counted = Counter(p.verdict for p in particles if p.named).most_common()
    shapes = [f"{n} × {escape(verdict)}" for verdict, n in counted]
    for words, n in (
        ("of which one cannot tell", sum(p.judged and p.known and not p.named for p in particles)),
        ("of no known shape", sum(p.judged and not p.known for p in particles)),
        ("not judged", sum(not p.judged for p in particles)),
    ):
        shapes += [f"{n} {words}"] if n else []
    text = f"<b>{number(len(particles), 'particle')}</b>: {', '.join(shapes)}."
    whole = [p.diameter_nm for p in particles if p.whole]
    if len(whole) == 1:
        text += f" Projected diameter {whole[0]:.2f} nm."
    elif whole:
        text += f" Projected diameter {median(whole):.2f} nm in the median ({min(whole):.2f} to {max(whole):.2f} nm)."
    volume = [p.volume_diameter_nm for p in particles if p.known and not p.cut_by_edge]
    if volume:
        text += f" Volume-equivalent {median(volume):.2f} nm" + (
            " in the median." if len(volume) > 1 else "."
        )
    if cut:
        text += f" {number(cut, 'particle')} cut by the edge."
    return text


def _fields(analysis: Analysis, colours: dict[str, str]) -> str:
    paths = "".join(
        f'<a href="#p{p.index}"><g class="mark" data-p="{p.index}"><title>{_tooltip(p)}</title>'
        f'<path d="{_path(o.contour)}" class="halo"/><path d="{_path(o.contour)}" stroke="{colours[p.verdict]}"/>'
        f'<text x="{o.centroid[1]:.1f}" y="{o.centroid[0]:.1f}">{p.index}</text></g></a>'
        for p, o in zip(analysis.particles, analysis.outlines, strict=True)
    )
    ny, nx = analysis.field.shape
    most = float(np.percentile(analysis.spread, 99.5)) or 1.0
    pictures = (
        ("Micrograph", analysis.field, None, ""),
        ("Denoised", analysis.denoised, None, ""),
        ("Restored", analysis.restored, None, ""),
        (
            "Uncertainty",
            analysis.spread,
            (0.0, most),
            f" of the restored image, from black, 0, to white, {most:.2g}",
        ),
    )
    panels = "".join(
        f'<figure><div class="field"><img alt="{title}" src="{picture(image, levels)}">'
        f'<svg viewBox="-0.5 -0.5 {nx} {ny}" style="--u:{nx / 100:.2f}px">{paths}'
        f"{_scale_bar(nx, ny, analysis.sampling)}</svg></div><figcaption>{title}{note}</figcaption></figure>"
        for title, image, levels, note in pictures
    )
    present = [v for v in colours if any(p.verdict == v for p in analysis.particles)]
    legend = "".join(f"<li>{dot(colours[v])}{escape(v)}</li>" for v in present)
    switch = (
        '<label class="switch"><input type="checkbox" id="outlines" checked> outlines</label>'
        if present
        else ""
    )
    return f'<section class="wide"><div class="fields">{panels}</div><ul class="legend">{legend}{switch}</ul></section>'


def _path(contour: NDArray) -> str:
    step = max(1, len(contour) // 160)
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for y, x in contour[::step]) + "Z"


def _scale_bar(nx: int, ny: int, sampling: float) -> str:
    from facetem.figures import bar_length

    length = bar_length(nx * sampling / 10)
    width = length * 10 / sampling
    x, y = 0.97 * nx - width, ny - 0.035 * nx  # lower right: a camera's own bar is at the lower left
    return (
        f'<g class="bar"><path d="M{x:.1f} {y:.1f}h{width:.1f}"/>'
        f'<text x="{x + width / 2:.1f}" y="{y - 0.014 * nx:.1f}">{length:g} nm</text></g>'
    )


def _tooltip(p: ParticleResult) -> str:
    sure = f", {p.confidence:.0%}" if p.named else ""
    return escape(f"{p.index}: {p.words}{sure}, {p.diameter_nm:.2f} nm")


def _table(particles: list[ParticleResult], colours: dict[str, str]) -> str:
    heads = [
        ("#", "number"), ("Shape", "text"), ("Confidence", "number"), ("Second best", "text"),
        ("Projected (nm)", "number"), ("Volume-eq. (nm)", "number"), ("Feret (nm)", "number"),
        ("Circularity", "number"),
        ("x, y (nm)", ""), ("Remarks", "text"),
    ]  # fmt: skip
    head = "".join(
        f'<th data-sort="{kind}" tabindex="0" aria-sort="none">{title}</th>' if kind else f"<th>{title}</th>"
        for title, kind in heads
    )
    rows = "".join(_row(p, colours[p.verdict]) for p in particles)
    return (
        '<section class="wide"><h2>Particles</h2><div class="scroll"><table id="particles"><thead><tr>'
        f"{head}</tr></thead><tbody>{rows}</tbody></table></div></section>"
    )


def _row(p: ParticleResult, colour: str) -> str:
    ranked = sorted(p.probabilities.items(), key=lambda item: -item[1])
    best, second = ranked[0], ranked[1] if len(ranked) > 1 else None
    if p.known:
        sure = f"{meter(p.confidence, colour)}{p.confidence:.0%}"
        other = f"{spoken_in_html(second[0])} {second[1]:.0%}" if second and second[1] >= 0.005 else "–"
    elif not p.judged:
        sure, other = "–", "–"
    else:
        sure, other = "–", f'<span class="soft">nearest: {spoken_in_html(best[0])} {best[1]:.0%}</span>'
    cells = [
        (p.index, f'<a href="#p{p.index}">{p.index}</a>', "n"),
        (p.words, dot(colour) + escape(p.words), ""),
        (p.confidence if p.known else -1, sure, "n"),
        ("", other, ""),
        (p.diameter_nm, f"{p.diameter_nm:.2f}", "n"),
        (p.volume_diameter_nm if p.known else -1, f"{p.volume_diameter_nm:.2f}" if p.known else "–", "n"),
        (p.feret_nm, f"{p.feret_nm:.2f}", "n"),
        (p.circularity, f"{p.circularity:.2f}", "n"),
        ("", f"{p.x_nm:.1f}, {p.y_nm:.1f}", "n"),
        ("; ".join(p.remarks), escape("; ".join(p.remarks)), "soft"),
    ]
    inner = "".join(
        f'<td class="{kind}"' + (f' data-v="{escape(str(key))}"' if key != "" else "") + f">{text}</td>"
        for key, text, kind in cells
    )
    return f'<tr data-p="{p.index}">{inner}</tr>'


def _nothing(analysis: Analysis) -> str:
    return (
        '<section class="prose"><h2>Particles</h2><p>The restorer marked no particle of at least '
        f"{SMALLEST / 10:g} nm in this field. "
        f"If there is one, the pixel size may be wrong (it is said to be {analysis.micrograph.sampling / 10:.4g} nm), "
        "or the image inverted: the networks expect bright field, as the camera records it, and not its negative. They "
        "know particles of "
        f"{escape(analysis.learnt.metal)} of {analysis.learnt.size} on amorphous carbon.</p></section>"
    )


def _statistics(analysis: Analysis, colours: dict[str, str]) -> str:
    from facetem.analysis.report import complete, diameters_by_verdict, left_out
    from facetem.figures import png, size_histogram

    whole = complete(analysis.particles)
    if len(whole) < 2:
        return ""
    rows = ""
    for verdict, diameters in diameters_by_verdict(analysis).items():
        if diameters:
            share = 100 * len(diameters) / len(whole)
            rows += (
                f'<tr><td>{dot(colours[verdict])}{escape(verdict)}</td><td class="n">{len(diameters)}</td>'
                f'<td class="n">{share:.0f} %</td><td class="n">{_mean_sd(diameters)}</td></tr>'
            )
    every = [p.diameter_nm for p in whole]
    total = (
        f'<tr class="total"><td>all</td><td class="n">{len(whole)}</td><td class="n">100 %</td>'
        f'<td class="n">{_mean_sd(every)}</td></tr>'
    )
    chart = embed(png(size_histogram(diameters_by_verdict(analysis), colours), dpi=170))
    return (
        '<section class="wide"><h2>Statistics of the complete particles</h2><p class="soft">'
        f'{left_out(analysis.particles).capitalize()}.</p><div class="stats"><div class="scroll"><table><thead><tr>'
        "<th>Shape</th><th>Number</th><th>Share</th><th>Projected diameter (nm), mean ± s.d.</th></tr></thead>"
        f'<tbody>{rows}{total}</tbody></table></div><img alt="size histogram" src="{chart}"></div></section>'
    )


def _mean_sd(values: list[float]) -> str:
    return f"{mean(values):.2f} ± {stdev(values):.2f}" if len(values) > 1 else f"{values[0]:.2f}"


def _measures(p: ParticleResult) -> str:
    """What was measured of a particle, and what the network says of one that it knows, by their names."""
    told = {"Projected diameter": f"{p.diameter_nm:.2f} nm"}
    if p.known:
        told |= {"Volume-equivalent": f"{p.volume_diameter_nm:.2f} nm", "Family": p.family}
    told["Feret diameter"] = f"{p.feret_nm:.2f} nm"
    if p.spacings_nm:
        # Several spots of a kind have one spacing.
        shown = dict.fromkeys(f"{spacing:.3f}" for spacing in p.spacings_nm)
        told["Lattice spacings"] = f"{', '.join(shown)} nm"
    if p.lies:
        told["Orientation"] = p.lies
    if p.known and p.facet_ratio is not None:
        told["d{100}/d{111}"] = f"{p.facet_ratio:.2f}"
    if p.contrast is not None:
        told["Contrast"] = f"{p.contrast:.1f}"
    if p.out_of_focus_nm is not None:
        told["From focus"] = f"about {p.out_of_focus_nm:.0f} nm"
    rows = "".join(f"<dt>{escape(name)}</dt><dd>{escape(value)}</dd>" for name, value in told.items())
    return f'<dl class="measures">{rows}</dl>'


def _gallery(analysis: Analysis, colours: dict[str, str]) -> str:
    from facetem.analysis.report import figure_parts

    if not analysis.particles:
        return ""
    cards = ""
    for p, card in zip(analysis.particles, figure_parts(analysis)[1], strict=True):
        bars = "".join(
            f"<li><span>{spoken_in_html(name)}</span>"
            f"{meter(value, colours[p.verdict] if p.known and name in p.possible else _FAINT)}"
            f'<span class="n">{value:.0%}</span></li>'
            for name, value in p.probabilities.items()
        )
        sure = f'<span class="sure">{p.confidence:.0%}</span>' if p.named else ""
        bars = f'<ul class="bars">{bars}</ul>' if p.judged else ""
        note = f'<p class="soft">{escape("; ".join(p.remarks))}</p>' if p.remarks else ""
        cards += (
            f'<article id="p{p.index}" data-p="{p.index}"><h3><span class="no">{p.index}</span>'
            f"{dot(colours[p.verdict])}{escape(p.words)}{sure}</h3>"
            f'<div class="crops"><img alt="micrograph" src="{picture(card.noisy)}">'
            f'<img alt="restored" src="{picture(card.restored)}"></div>{bars}'
            f"{_measures(p)}{note}</article>"
        )
    size = analysis.sampling * len(figure_parts(analysis)[1][0].noisy) / 10
    return (
        f'<section class="wide"><h2>Gallery</h2><p class="soft">What the classifier saw, {size:.1f} nm wide, beside '
        "the restored image; beyond the edge of the field, its mirror image.</p>"
        f'<div class="gallery">{cards}</div></section>'
    )


def _provenance(analysis: Analysis) -> str:
    words = {"facetem": "facetem version", "sha256": "SHA-256 of the file", "learnt": "particles learnt from"}
    told: dict[str, Any] = dict(analysis.provenance)
    told["learnt"] = f"{analysis.learnt.metal}, {analysis.learnt.size}"
    told |= {spoken(key): value for key, value in analysis.micrograph.metadata.items()}
    rows = "".join(
        f"<dt>{escape(words.get(key, key))}</dt><dd>{_value(value)}</dd>" for key, value in told.items()
    )
    return f'<section class="prose provenance"><h2>Provenance</h2><dl>{rows}</dl></section>'


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{escape(str(k))} {_value(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return " × ".join(_value(v) for v in value)
    return escape(f"{value:g}" if isinstance(value, float) else str(value))
