#include "results/figures/vega_lite.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "results/figures/look.h"

namespace bakeoff {
namespace {

using nlohmann::ordered_json;

// Five digits are more than any figure has, and keep pages small.
ordered_json rounded(double value) {
  if (value == 0 || !std::isfinite(value)) return std::isfinite(value) ? ordered_json(0) : ordered_json(nullptr);
  const double power = std::pow(10, 4 - std::floor(std::log10(std::fabs(value))));
  const double short_value = std::isfinite(power) && power > 0 ? std::round(value * power) / power : value;
  if (short_value == std::floor(short_value) && std::fabs(short_value) < 1e15)
    return ordered_json(static_cast<std::int64_t>(short_value));
  return ordered_json(short_value);
}

ordered_json values_of(const Chart& chart) {
  ordered_json values = ordered_json::array();
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartSeries& series : panel.series) {
      for (const ChartPoint& point : series.points) {
        ordered_json row = {{"series", series.name}};
        if (chart.panels.size() > 1) row["panel"] = panel.title;
        if (chart.dots) {
          const auto index = static_cast<std::size_t>(point.place);
          row["row"] = index < panel.rows.size() ? panel.rows[index] : "";
        } else {
          row["place"] = rounded(point.place);
        }
        row["value"] = rounded(point.value);
        if (point.lower && point.upper) {
          row["lower"] = rounded(*point.lower);
          row["upper"] = rounded(*point.upper);
        }
        if (point.is_range) row["range"] = true;
        row["valid"] = point.valid;
        if (chart.dots && static_cast<std::size_t>(point.place) < panel.may_be_first.size() &&
            panel.may_be_first[static_cast<std::size_t>(point.place)])
          row["first"] = true;
        row["marked"] = series.marked;
        row["joined"] = series.joined;
        if (series.published) row["published"] = true;
        if (series.marked) {
          row["trials"] = point.trials;
          if (!point.cell.empty()) row["cell"] = point.cell;
          if (!point.reason.empty()) row["reason"] = point.reason;
          if (point.of_ceiling.median) {
            row["of_ceiling"] = rounded(*point.of_ceiling.median);
            if (point.of_ceiling.lower && point.of_ceiling.upper) {
              row["of_ceiling_lower"] = rounded(*point.of_ceiling.lower);
              row["of_ceiling_upper"] = rounded(*point.of_ceiling.upper);
            }
          }
        }
        values.push_back(std::move(row));
      }
    }
  }
  return values;
}

const char* scale_word(ScaleKind scale) { return scale == ScaleKind::linear ? "linear" : "log"; }

ordered_json scale_of(const ChartAxis& axis) {
  ordered_json scale = {{"type", scale_word(axis.scale)}};
  if (axis.least && axis.greatest) {
    scale["domain"] = {*axis.least, *axis.greatest};
  } else if (axis.scale == ScaleKind::linear) {
    scale["zero"] = axis.from_zero;
  }
  return scale;
}

}  // namespace

ordered_json to_vega_lite(const Chart& chart) {
  ordered_json domain = ordered_json::array(), colours = ordered_json::array(), shapes = ordered_json::array(),
               dashes = ordered_json::array();
  std::set<std::string> seen;
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartSeries& series : panel.series) {
      if (!seen.insert(series.name).second) continue;
      const Look& look = look_of(series.look);
      domain.push_back(series.name);
      colours.push_back(series.published ? published_colour : look.colour);
      shapes.push_back(series.published ? "diamond" : look.vega_marker);
      ordered_json pattern = ordered_json::array();
      std::string number;
      for (const char* c = look.dashes;; ++c) {
        if (*c >= '0' && *c <= '9') {
          number += *c;
        } else if (!number.empty()) {
          pattern.push_back(std::stoi(number));
          number.clear();
        }
        if (*c == '\0') break;
      }
      if (pattern.empty()) pattern = {1, 0};
      dashes.push_back(series.published ? ordered_json({2, 2}) : pattern);
    }
  }
  const ChartPanel empty;
  const ChartPanel& first = chart.panels.empty() ? empty : chart.panels.front();
  const bool needs_legend =
      !chart.dots || std::any_of(chart.panels.begin(), chart.panels.end(), [](const ChartPanel& panel) {
        return std::any_of(panel.series.begin(), panel.series.end(),
                           [](const ChartSeries& series) { return series.published; });
      });
  const ordered_json legend =
      needs_legend ? ordered_json({{"title", nullptr}, {"orient", "top"}, {"columns", 3}}) : ordered_json(nullptr);
  const ordered_json colour = {{"field", "series"},
                               {"type", "nominal"},
                               {"legend", legend},
                               {"scale", {{"domain", domain}, {"range", colours}}}};
  ordered_json value_axis = {{"title", first.value.title}, {"tickCount", 5}};
  if (first.value.scale == ScaleKind::logarithmic && chart.panels.size() == 1)
    value_axis["values"] = value_ticks(first, 6).marks;
  const char* const across = chart.dots ? "x" : "y";
  const auto value_channel = [&](const char* field) {
    return ordered_json{
        {"field", field}, {"type", "quantitative"}, {"scale", scale_of(first.value)}, {"axis", value_axis}};
  };
  ordered_json place;
  if (chart.dots) {
    ordered_json rows = ordered_json::array();
    for (const ChartPanel& panel : chart.panels) {
      for (const std::string& row : panel.rows) {
        if (std::find(rows.begin(), rows.end(), row) == rows.end()) rows.push_back(row);
      }
    }
    place = {{"field", "row"}, {"type", "nominal"}, {"sort", rows}, {"axis", {{"title", nullptr}, {"grid", true}}}};
  } else {
    place = {{"field", "place"},
             {"type", "quantitative"},
             {"scale", scale_of(first.place)},
             {"axis", {{"title", first.place.title}, {"grid", false}}}};
    if (first.place.scale == ScaleKind::percentile) {
      place["axis"]["values"] = {1, 2, 10, 100, 1000, 10000, 100000};
      place["axis"]["labelExpr"] = "datum.value <= 1 ? '0 %' : format(100 * (1 - 1 / datum.value), '~g') + ' %'";
      place["scale"]["nice"] = false;
    } else {
      std::set<double> places;
      for (const ChartPanel& panel : chart.panels) {
        for (const ChartSeries& series : panel.series) {
          for (const ChartPoint& point : series.points) places.insert(point.place);
        }
      }
      if (places.size() <= 12 && !first.place.least) {
        place["axis"]["values"] = ordered_json(places);
        place["axis"]["labelOverlap"] = true;
      }
      if (!first.place.least && !places.empty()) {
        ChartPanel all = first;
        all.series.clear();
        for (const ChartPanel& panel : chart.panels)
          all.series.insert(all.series.end(), panel.series.begin(), panel.series.end());
        const Ticks ticks = place_ticks(all, 7);
        place["scale"]["domain"] = {ticks.low, ticks.high};
        place["scale"]["nice"] = false;
      }
    }
  }
  const char* const along = chart.dots ? "y" : "x";
  const char* const limit = chart.dots ? "x2" : "y2";
  const ordered_json tooltip = ordered_json::array(
      {{{"field", "series"}, {"type", "nominal"}, {"title", "server"}},
       {{"field", "value"}, {"type", "quantitative"}, {"format", ".4~g"}, {"title", first.value.title}},
       {{"field", "lower"}, {"type", "quantitative"}, {"format", ".4~g"}, {"title", "from"}},
       {{"field", "upper"}, {"type", "quantitative"}, {"format", ".4~g"}, {"title", "to"}},
       {{"field", "trials"}, {"type", "quantitative"}},
       {{"field", "cell"}, {"type", "nominal"}},
       {{"field", "reason"}, {"type", "nominal"}, {"title", "note"}}});
  ordered_json layers = ordered_json::array();
  const bool has_band =
      chart.dots && std::any_of(chart.panels.begin(), chart.panels.end(), [](const ChartPanel& panel) {
        return std::any_of(panel.may_be_first.begin(), panel.may_be_first.end(),
                           [](bool first_row) { return first_row; });
      });
  if (has_band) {
    layers.push_back({{"name", "band"},
                      {"transform", ordered_json::array({{{"filter", "datum.first"}}})},
                      {"mark", {{"type", "rect"}, {"color", "#eef4f9"}, {"aria", false}, {"tooltip", nullptr}}},
                      {"encoding", {{along, place}}}});
  }
  if (!chart.dots) {
    layers.push_back({{"name", "lines"},
                      {"transform", ordered_json::array({{{"filter", "datum.joined"}}})},
                      {"mark", {{"type", "line"}, {"strokeWidth", 1.8}, {"aria", false}}},
                      {"encoding",
                       {{along, place},
                        {across, value_channel("value")},
                        {"color", colour},
                        {"strokeDash",
                         {{"field", "series"},
                          {"type", "nominal"},
                          {"legend", legend},
                          {"scale", {{"domain", domain}, {"range", dashes}}}}}}}});
  }
  layers.push_back(
      {{"name", "intervals"},
       {"transform", ordered_json::array({{{"filter", "datum.marked && isValid(datum.lower)"}}})},
       {"mark", {{"type", "rule"}, {"strokeWidth", 1.3}, {"aria", false}}},
       {"encoding",
        {{along, place},
         {across, value_channel("lower")},
         {limit, {{"field", "upper"}}},
         {"color", colour},
         // Dashed: the range of too few trials for an interval.
         {"strokeDash", {{"condition", {{"test", "datum.range"}, {"value", {2, 2}}}}, {"value", {1, 0}}}}}}});
  layers.push_back({{"name", "points"},
                    {"transform", ordered_json::array({{{"filter", "datum.marked"}}})},
                    {"mark", {{"type", "point"}, {"filled", false}, {"size", 42}, {"strokeWidth", 1.5}}},
                    {"encoding",
                     {{along, place},
                      {across, value_channel("value")},
                      {"color", colour},
                      {"fill",
                       {{"condition",
                         {{"test", "datum.valid && !datum.published"},
                          {"field", "series"},
                          {"type", "nominal"},
                          {"legend", nullptr},
                          {"scale", {{"domain", domain}, {"range", colours}}}}},
                        {"value", "white"}}},
                      {"shape",
                       {{"field", "series"},
                        {"type", "nominal"},
                        {"legend", legend},
                        {"scale", {{"domain", domain}, {"range", shapes}}}}},
                      {"tooltip", tooltip}}}});
  ordered_json specification = {{"$schema", "https://vega.github.io/schema/vega-lite/v6.json"},
                                {"title", chart.title},
                                {"description", chart.title + ". " + chart.says},
                                {"config", {{"font", "sans-serif"}, {"axis", {{"titleFontWeight", "normal"}}}}},
                                {"data", {{"values", values_of(chart)}}}};
  if (chart.panels.size() > 1) {
    ordered_json order = ordered_json::array();
    for (const ChartPanel& panel : chart.panels) order.push_back(panel.title);
    specification["facet"] = {{"field", "panel"}, {"type", "nominal"}, {"title", nullptr}, {"sort", order}};
    specification["columns"] = 2;
    specification["spec"] = {{"width", 320}, {"layer", layers}};
    if (!chart.dots) specification["spec"]["height"] = 200;
    specification["resolve"] = {{"scale", {{chart.dots ? "x" : "y", "independent"}}}};
    // Panels of dots differ in what their axes are of: the page names each; here their titles do.
    if (chart.dots && chart.panels.size() > 1 &&
        std::any_of(chart.panels.begin(), chart.panels.end(),
                    [&](const ChartPanel& panel) { return panel.value.title != first.value.title; })) {
      for (ordered_json& layer : specification["spec"]["layer"]) layer["encoding"][across]["axis"]["title"] = nullptr;
    }
    specification["usermeta"]["axes"] = ordered_json::object();
    for (const ChartPanel& panel : chart.panels) specification["usermeta"]["axes"][panel.title] = panel.value.title;
  } else {
    specification["width"] = chart.dots ? 420 : 380;
    if (!chart.dots) specification["height"] = 240;
    specification["layer"] = layers;
  }
  return specification;
}

}  // namespace bakeoff
