"""Figures to turn to and to point at, as pages: plotly, without anything from the internet.

A page expects `plotly.min.js` beside it, which `script` gives: several pages share the four megabytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from facetem.figures.stereographic import Triangle
from facetem.figures.studies import Band
from facetem.figures.style import INK, PALETTE, SERIES


def script() -> str:
    """The JavaScript that all pages share."""
    from plotly.offline import get_plotlyjs

    return get_plotlyjs()


def against_page(
    values: Sequence[float | str],
    panels: Mapping[str, Mapping[str, Band]],
    *,
    label: str,
    title: str,
) -> str:
    """`facetem.figures.studies.against` as a page."""
    from plotly.subplots import make_subplots

    figure = make_subplots(1, len(panels), subplot_titles=list(panels))
    colour = 0
    for column, series in enumerate(panels.values(), 1):
        for name, band in series.items():
            reach = [np.subtract(band.high, band.mean), np.subtract(band.mean, band.low)]
            figure.add_scatter(
                x=list(values),
                y=list(band.mean),
                name=name,
                error_y={"type": "data", "array": reach[0], "arrayminus": reach[1], "thickness": 1},
                mode="markers" if any(isinstance(value, str) for value in values) else "lines+markers",
                marker={"color": SERIES[colour % len(SERIES)]},
                hovertemplate=f"%{{x}}: %{{y:.3f}}<extra>{name}</extra>",
                row=1,
                col=column,
            )
            colour += 1
        numbers = [float(value) for value in values if not isinstance(value, str)]
        if len(numbers) == len(values) and min(numbers) > 0 and max(numbers) / min(numbers) > 50:
            figure.update_xaxes(type="log", row=1, col=column)
        figure.update_xaxes(title_text=label, row=1, col=column)
    return _page(figure, title)


def grid_page(
    values: Sequence[Sequence[float]],
    rows: Sequence[str],
    columns: Sequence[str],
    *,
    rows_label: str,
    columns_label: str,
    title: str,
) -> str:
    """`facetem.figures.studies.grid` as a page."""
    from plotly.graph_objects import Figure

    figure = Figure()
    figure.add_heatmap(
        z=[list(row) for row in values],
        x=list(columns),
        y=list(rows),
        zmin=0,
        zmax=1,
        colorscale="Blues",
        texttemplate="%{z:.2f}",
        hovertemplate=f"{rows_label} %{{y}}, {columns_label} %{{x}}: %{{z:.3f}}<extra></extra>",
    )
    figure.update_xaxes(title_text=columns_label, type="category")
    figure.update_yaxes(title_text=rows_label, type="category", autorange="reversed")
    return _page(figure, title)


def triangles_page(found: Sequence[Triangle], *, title: str) -> str:
    """`facetem.figures.stereographic.triangles` as a page: every image says what it was taken for."""
    from plotly.subplots import make_subplots

    columns = min(4, max(1, len(found)))
    figure = make_subplots(
        -(-len(found) // columns) or 1, columns, subplot_titles=[one.title for one in found]
    )
    for i, one in enumerate(found):
        row, column = divmod(i, columns)
        place: dict[str, Any] = {"row": row + 1, "col": column + 1}
        figure.add_scatter(
            x=one.places[:, 0],
            y=one.places[:, 1],
            mode="markers",
            marker={"color": one.accuracy, "cmin": 0, "cmax": 1, "colorscale": "Cividis", "size": 9},
            hovertemplate="told %{marker.color:.2f}<extra></extra>",
            **place,
        )
        figure.add_scatter(
            x=one.outline[:, 0],
            y=one.outline[:, 1],
            mode="lines",
            line={"color": INK},
            hoverinfo="skip",
            **place,
        )
        figure.add_scatter(
            x=one.points[:, 0],
            y=one.points[:, 1],
            mode="markers",
            marker={
                "color": ["white" if right else PALETTE[5] for right in one.right],
                "line": {"width": 1, "color": INK},
                "size": [5 if right else 9 for right in one.right],
            },
            text=[f"{name} ({sure:.2f})" for name, sure in zip(one.named, one.sure, strict=True)],
            hovertemplate="named %{text}<extra></extra>",
            **place,
        )
        figure.add_scatter(
            x=one.corners[:, 0],
            y=one.corners[:, 1],
            mode="text",
            cliponaxis=False,
            text=list(one.corner_names),
            hoverinfo="skip",
            **place,
        )
        figure.update_xaxes(visible=False, **place)
        figure.update_yaxes(visible=False, scaleanchor=f"x{i + 1 if i else ''}", scaleratio=1, **place)
    figure.update_layout(showlegend=False, height=420 * (-(-len(found) // columns) or 1))
    return _page(figure, title)


def _page(figure: Any, title: str) -> str:
    figure.update_layout(title=title, template="plotly_white", font={"color": INK})
    return figure.to_html(include_plotlyjs="directory", full_html=True, config={"displaylogo": False})
