"""One page that shows a run: numbers, frames, course; whole in itself but for the video beside it."""

from __future__ import annotations

import base64
from collections.abc import Mapping

from jinja2 import Environment

from siam_tracker_ros.demo.run_measures import RunMeasures

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>siam_tracker: {{ title }}</title>
<style>
  body { font: 16px/1.5 system-ui, sans-serif; color: #1c1c1c }
  body { max-width: 1100px; margin: 2em auto; padding: 0 1em }
  h1 { font-size: 1.5em; margin-bottom: 0 }
  p.what { color: #555; margin-top: 0.2em }
  dl { display: flex; flex-wrap: wrap; gap: 0.5em 2.5em; margin: 1.5em 0 }
  dt { color: #555; font-size: 0.85em }
  dd { margin: 0; font-size: 1.35em; font-variant-numeric: tabular-nums }
  img, video { width: 100%; display: block; margin: 1em 0 }
  table { border-collapse: collapse } td { padding: 0.1em 1.5em 0.1em 0 } td.n { text-align: right }
  h2 { font-size: 1.1em; margin-top: 2em }
</style>
<h1>{{ title }}</h1>
<p class="what">{{ run.model }} on {{ run.device }}. Source, tracker, overlay and recorder each ran in a
process of its own; everything here was measured from the messages in the bag.</p>
<dl>
{%- for name, value in facts.items() %}
  <div><dt>{{ name }}</dt><dd>{{ value }}</dd></div>
{%- endfor %}
</dl>
{% if notes %}<p>{{ notes }}</p>{% endif %}
{% if video %}<video src="{{ video }}" controls muted loop></video>{% endif %}
{% if sheet %}<img src="data:image/jpeg;base64,{{ sheet }}" alt="Frames of the run, annotated">{% endif %}
{% if course %}<h2>Course</h2>
<img src="data:image/png;base64,{{ course }}" alt="Confidence, state and latency over time">
<p class="what">Latency goes from an image's arrival at the tracker to its tracks' going out.</p>{% endif %}
<h2>In the bag</h2>
<table>
{%- for topic, count in run.messages.items() %}
  <tr><td>{{ topic }}</td><td class="n">{{ count }}</td></tr>
{%- endfor %}
</table>
</html>
"""


def summary_page(title: str, run: RunMeasures, notes: str, video: str, pictures: Mapping[str, bytes]) -> str:
    """The page, HTML. `video` is a file beside it or empty; `pictures`: `sheet` (JPEG), `course` (PNG)."""
    facts = {"images published": run.frames_published, "tracked in": len(run.frames)}
    facts["dropped"] = run.dropped_frames
    words: dict[str, str] = {name: str(value) for name, value in facts.items()}
    if run.frames:
        latency = run.latency_ms
        words["latency, median"] = f"{latency['p50']:.1f} ms"
        words["latency, 95 %"] = f"{latency['p95']:.1f} ms"
    words |= {name: str(count) for name, count in run.states.items()}
    encoded = {name: base64.b64encode(data).decode() for name, data in pictures.items()}
    template = Environment(autoescape=True).from_string(_PAGE)
    return template.render(title=title, run=run, facts=words, notes=notes, video=video, **encoded)
