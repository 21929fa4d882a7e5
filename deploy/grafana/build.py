"""Writes the Grafana dashboards and the Prometheus consoles from panels.py.

    python deploy/grafana/build.py [DIRECTORY]

needs grafana-foundation-sdk of tests/requirements.txt; `make dashboards` runs it. DIRECTORY is the directory `deploy` by
default. A test compares the written files with those of the repository.
"""

import html
import itertools
import json
import sys
from pathlib import Path

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as common_models
from grafana_foundation_sdk.models import dashboard as models
from panels import DASHBOARDS

TAG = "unificus"
SOURCE = models.DataSourceRef(type_val="prometheus", uid="${datasource}")
# Grafana's grid has 24 columns.
WIDTH = 24


def variables():
    replica = dashboard.QueryVariable("replica").label("Replica").query('label_values(up{job="unificus"}, instance)')
    tier = dashboard.QueryVariable("tier").label("Tier").query("label_values(unificus_quota_accounts, tier)")
    for variable in (replica, tier):
        variable.datasource(SOURCE).multi(True).include_all(True).all_value(".*")
        variable.refresh(models.VariableRefresh.ON_TIME_RANGE_CHANGED).sort(models.VariableSort.ALPHABETICAL_ASC)
        variable.current(models.VariableOption(text="All", value="$__all", selected=True))
    source = dashboard.DatasourceVariable("datasource").label("Prometheus").type("prometheus")
    return [source, replica, tier]


def thresholds(panel):
    config = dashboard.ThresholdsConfig().mode(models.ThresholdsMode.ABSOLUTE)
    if not panel.limits:
        return config.steps([models.Threshold(value=None, color="blue")])
    colors = ("red", "yellow", "green") if panel.low_is_bad else ("green", "yellow", "red")
    bounds = sorted(panel.limits)
    # Two equal bounds have no yellow between them.
    steps = [models.Threshold(value=None, color=colors[0])]
    if bounds[0] != bounds[1]:
        steps.append(models.Threshold(value=bounds[0], color=colors[1]))
    steps.append(models.Threshold(value=bounds[1], color=colors[2]))
    return config.steps(steps)


def grafana_panel(panel, span):
    if panel.kind == "stat":
        built = stat.Panel().height(4).graph_mode(common_models.BigValueGraphMode.AREA)
        built.reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        built.thresholds(thresholds(panel))
    elif panel.kind == "table":
        built = table.Panel().height(8)
    else:
        built = timeseries.Panel().height(8).fill_opacity(25 if panel.kind == "stack" else 8)
        if not panel.may_be_negative:
            built.min(0)
        if panel.kind == "stack":
            built.stacking(common.StackingConfig().mode(common_models.StackingMode.NORMAL))
        legend = common.VizLegendOptions().display_mode(common_models.LegendDisplayMode.LIST)
        built.legend(legend.placement(common_models.LegendPlacement.BOTTOM).show_legend(True))
    built.title(panel.title).description(panel.about).unit(panel.unit).datasource(SOURCE).span(span)
    for number, (expression, legend) in enumerate(panel.queries):
        query = prometheus.Dataquery().expr(expression).legend_format(legend).ref_id(chr(ord("A") + number))
        query.datasource(SOURCE)
        built.with_target(query.instant() if panel.kind == "table" else query.range())
    return built


def grafana(board):
    built = dashboard.Dashboard(board.title).uid(board.name).description(board.about).tags([TAG]).readonly()
    built.time("now-1h", "now").refresh("30s").timezone("browser").tooltip(models.DashboardCursorSync.CROSSHAIR)
    link = dashboard.DashboardLink("Dashboards").type(models.DashboardLinkType.DASHBOARDS).tags([TAG])
    built.link(link.as_dropdown(False).include_vars(True).keep_time(True))
    for variable in variables():
        built.with_variable(variable)
    # Links to a panel have its id, so it must not change with each start of Grafana.
    ids = itertools.count(1)
    for title, panels in board.rows:
        built.with_row(dashboard.Row(title).id(next(ids)))
        for panel in panels:
            span = WIDTH // 4 if panel.kind == "stat" else WIDTH // 2
            built.with_panel(grafana_panel(panel, span).id(next(ids)))
    return json.dumps(built.build(), cls=JSONEncoder, indent=2, sort_keys=True) + "\n"


def console(board):
    """A page for Prometheus' own console templates: the same queries, drawn by console_libraries/unificus.lib."""

    def attribute(value):
        # Braces would be read as a template.
        text = json.dumps(value, ensure_ascii=False).replace("{{", "[[").replace("}}", "]]")
        return html.escape(text, quote=True)

    links = "".join(
        f'<a href="{other.name}.html"{" class=here" if other is board else ""}>{html.escape(other.title.split(": ")[1])}</a>'
        for other in DASHBOARDS
    )
    lines = ['{{template "unificus_head" .}}', f"<title>{html.escape(board.title)}</title>", f"<nav>{links}</nav>"]
    for title, panels in board.rows:
        lines.append(f"<h2>{html.escape(title)}</h2>\n<div class=row>")
        for panel in panels:
            data = {"unit": panel.unit, "kind": panel.kind, "limits": panel.limits, "low": panel.low_is_bad}
            lines.append(
                f'<section class="panel {panel.kind}" data-panel="{attribute(data)}" '
                f'data-queries="{attribute(panel.queries)}"><h3 title="{html.escape(panel.about)}">'
                f"{html.escape(panel.title)}</h3></section>"
            )
        lines.append("</div>")
    lines.append('{{template "unificus_tail" .}}')
    return "\n".join(lines) + "\n"


def main():
    deploy = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).resolve().parent.parent
    for board in DASHBOARDS:
        for path, text in [
            (deploy / "grafana/dashboards" / f"{board.name}.json", grafana(board)),
            (deploy / "prometheus/consoles" / f"{board.name}.html", console(board)),
        ]:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")


main()
