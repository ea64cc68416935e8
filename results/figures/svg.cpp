#include "results/figures/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "results/figures/look.h"
#include "results/figures/markup.h"

namespace bakeoff {
namespace {

constexpr const char* ink = "#1c2126";
constexpr const char* soft = "#59636e";
constexpr const char* grid = "#e3e7eb";
constexpr const char* band = "#eef4f9";

std::string px(double value) {
  std::string text = fmt::format("{:.2f}", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

std::string marker_path(Marker marker, double x, double y, double r) {
  const auto polygon = [&](const std::vector<std::pair<double, double>>& corners) {
    std::string path;
    for (const auto& [dx, dy] : corners) path += (path.empty() ? "M" : "L") + px(x + dx * r) + " " + px(y + dy * r);
    return path + "Z";
  };
  switch (marker) {
    case Marker::circle:
      return fmt::format("M{0} {1}a{2} {2} 0 1 0 {3} 0a{2} {2} 0 1 0 -{3} 0Z", px(x - r), px(y), px(r), px(2 * r));
    case Marker::square: return polygon({{-.9, -.9}, {.9, -.9}, {.9, .9}, {-.9, .9}});
    case Marker::triangle: return polygon({{0, -1.15}, {1.05, .8}, {-1.05, .8}});
    case Marker::triangle_down: return polygon({{0, 1.15}, {1.05, -.8}, {-1.05, -.8}});
    case Marker::diamond: return polygon({{0, -1.25}, {1.1, 0}, {0, 1.25}, {-1.1, 0}});
    case Marker::cross: {
      const double a = .36, b = 1.1;
      return polygon(
          {{-a, -b}, {a, -b}, {a, -a}, {b, -a}, {b, a}, {a, a}, {a, b}, {-a, b}, {-a, a}, {-b, a}, {-b, -a}, {-a, -a}});
    }
  }
  return "";
}

std::string text_at(double x, double y, const std::string& text, const char* look, const char* anchor = "start",
                    const char* weight = "", double size = 0) {
  return fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" fill=\"{}\"{}{}{}>{}</text>", px(x), px(y), look,
                     std::string(look) == "ink" ? ink : soft,
                     std::string(anchor) == "start" ? "" : fmt::format(" text-anchor=\"{}\"", anchor),
                     *weight == '\0' ? "" : fmt::format(" font-weight=\"{}\"", weight),
                     size == 0 ? "" : fmt::format(" font-size=\"{}\"", px(size)), escaped(text));
}

std::string rule_at(double x1, double y1, double x2, double y2, const char* extra) {
  return fmt::format("<path d=\"M{} {}L{} {}\" {}/>", px(x1), px(y1), px(x2), px(y2), extra);
}

std::string series_group(const ChartSeries& series) {
  if (series.published) return fmt::format("<g class=\"published\" stroke=\"{0}\" fill=\"{0}\">", published_colour);
  return fmt::format("<g class=\"s{0}\" stroke=\"{1}\" fill=\"{1}\">", series.look % looks.size(),
                     look_of(series.look).colour);
}

const char* dashes_of(const ChartSeries& series) { return series.published ? "" : look_of(series.look).dashes; }
Marker marker_of(const ChartSeries& series) { return series.published ? Marker::diamond : look_of(series.look).marker; }

// From a value to pixels.
struct Scale {
  ScaleKind kind;
  double low, high, from, to;
  double at(double value) const {
    if (kind == ScaleKind::linear) return from + (to - from) * (value - low) / (high - low);
    return from + (to - from) * std::log(value / low) / std::log(high / low);
  }
  bool has(double value) const {
    const double room = 1e-6 * (high - low);
    return value >= low - room && value <= high + room && (kind == ScaleKind::linear || value > 0);
  }
  double clamped(double value) const { return at(std::clamp(value, low, high)); }
};

struct Drawing {
  std::string body;
  double height = 0;
};

std::string marker_of_point(const ChartSeries& series, const ChartPoint& point, double x, double y, double r) {
  const std::string path = marker_path(marker_of(series), x, y, r);
  const bool hollow = !point.valid || series.published;
  return hollow ? fmt::format("<path class=\"mark hollow\" fill=\"#fff\" stroke-width=\"1.4\" d=\"{}\"/>", path)
                : fmt::format("<path class=\"mark\" stroke=\"none\" d=\"{}\"/>", path);
}

Drawing draw_lines(const ChartPanel& panel, double width, double font) {
  Drawing drawing;
  const double small = font * 0.92;
  double top = 0;
  if (!panel.title.empty()) {
    top += font * 1.25;
    drawing.body += text_at(0, top - font * 0.25, shortened(panel.title, width / font), "ink", "start", "600");
  }
  top += small * 1.4;
  drawing.body +=
      text_at(0, top - small * 0.3, shortened(panel.value.title, width / small), "soft", "start", "", small);
  top += font * 0.7;
  const double plot_height = std::clamp(width * 0.52, font * 9, 300.0);
  const Ticks values = value_ticks(panel, static_cast<std::size_t>(std::max(3.0, plot_height / (font * 3.2))));
  double left = 0;
  for (const double mark : values.marks) left = std::max(left, text_width(tick_text(panel.value.scale, mark)) * small);
  left += font * 0.6;
  const double right = font * 0.9;
  const Ticks places = place_ticks(panel, static_cast<std::size_t>(std::max(3.0, (width - left) / (font * 4.2))));
  const double bottom = top + plot_height;
  const Scale y{panel.value.scale, values.low, values.high, bottom, top};
  const Scale x{panel.place.scale, places.low, places.high, left, width - right};
  const std::string grid_rule = fmt::format("class=\"grid\" stroke=\"{}\" fill=\"none\"", grid);
  for (const double mark : values.marks) {
    drawing.body += rule_at(left, y.at(mark), width - right, y.at(mark), grid_rule.c_str());
    drawing.body += text_at(left - font * 0.45, y.at(mark) + small * 0.35, tick_text(panel.value.scale, mark), "soft",
                            "end", "", small);
  }
  const std::string axis_rule = fmt::format("class=\"axis\" stroke=\"{}\" fill=\"none\"", soft);
  drawing.body += rule_at(left, bottom, width - right, bottom, axis_rule.c_str());
  double last_end = -1e9;
  for (const double mark : places.marks) {
    if (!x.has(mark)) continue;
    const std::string text = tick_text(panel.place.scale, mark);
    const double half = text_width(text) * small / 2;
    const double middle = std::clamp(x.at(mark), half, width - half);
    drawing.body += rule_at(x.at(mark), bottom, x.at(mark), bottom + font * 0.3, axis_rule.c_str());
    if (middle - half < last_end + font * 0.4) continue;
    last_end = middle + half;
    drawing.body += text_at(middle, bottom + font * 1.35, text, "soft", "middle", "", small);
  }
  drawing.body +=
      text_at((left + width - right) / 2, bottom + font * 2.65, panel.place.title, "soft", "middle", "", small);
  drawing.height = bottom + font * 3.05;

  // Points at one place are set a little apart, so that intervals do not hide each other.
  const auto count = static_cast<double>(panel.series.size());
  const double step = panel.place.scale == ScaleKind::percentile ? 0 : std::min(2.2, font * 0.9 / std::max(1.0, count));
  double index = 0;
  // What was published stands behind.
  std::vector<const ChartSeries*> order;
  for (const bool published : {true, false}) {
    for (const ChartSeries& series : panel.series) {
      if (series.published == published) order.push_back(&series);
    }
  }
  for (const ChartSeries* series : order) {
    const double apart = series->published ? 0 : (index++ - (count - 1) / 2) * step;
    drawing.body += series_group(*series);
    std::string path;
    bool pen_down = false;
    for (const ChartPoint& point : series->points) {
      if (!series->joined || !x.has(point.place) || !y.has(point.value)) {
        pen_down = false;
        continue;
      }
      path += (pen_down ? "L" : "M") + px(x.at(point.place) + apart) + " " + px(y.at(point.value));
      pen_down = true;
    }
    if (!path.empty()) {
      const char* dashes = dashes_of(*series);
      drawing.body +=
          fmt::format("<path class=\"line\" fill=\"none\" stroke-width=\"1.6\" stroke-linejoin=\"round\"{} d=\"{}\"/>",
                      *dashes == '\0' ? "" : fmt::format(" stroke-dasharray=\"{}\"", dashes), path);
    }
    for (const ChartPoint& point : series->points) {
      if (!series->marked || !x.has(point.place) || !y.has(point.value)) continue;
      const double at = x.at(point.place) + apart;
      if (point.lower && point.upper && *point.upper > *point.lower && *point.upper >= values.low) {
        const double cap = point.is_range ? 0 : font * 0.22;
        const double low = y.clamped(*point.lower), high = y.clamped(*point.upper);
        drawing.body +=
            fmt::format("<path class=\"interval\" fill=\"none\" stroke-width=\"1.1\"{} d=\"M{} {}L{} {}",
                        point.is_range ? " stroke-dasharray=\"2 1.5\"" : "", px(at), px(low), px(at), px(high));
        if (cap > 0)
          drawing.body += fmt::format("M{0} {1}H{2}M{0} {3}H{2}", px(at - cap), px(low), px(at + cap), px(high));
        drawing.body += "\"/>";
      }
      drawing.body += marker_of_point(*series, point, at, y.at(point.value), font * 0.27);
    }
    drawing.body += "</g>";
  }
  return drawing;
}

Drawing draw_dots(const ChartPanel& panel, double width, double font, bool with_numbers) {
  Drawing drawing;
  const double small = font * 0.92;
  double top = 0;
  if (!panel.title.empty()) {
    top += font * 1.25;
    drawing.body += text_at(0, top - font * 0.25, shortened(panel.title, width / font), "ink", "start", "600");
    top += font * 0.35;
  }
  double label_width = 0;
  for (const std::string& row : panel.rows) label_width = std::max(label_width, text_width(row) * font);
  label_width = std::min(label_width, width * 0.42);
  std::size_t most_in_row = 1;
  for (std::size_t row = 0; row < panel.rows.size(); ++row) {
    std::size_t in_row = 0;
    for (const ChartSeries& series : panel.series) {
      for (const ChartPoint& point : series.points) in_row += point.place == static_cast<double>(row) ? 1 : 0;
    }
    most_in_row = std::max(most_in_row, in_row);
  }
  const double row_height = font * (1.75 + 0.75 * static_cast<double>(most_in_row - 1));
  const double left = label_width + font * 0.9, right = with_numbers ? font * 4.1 : font * 0.9;
  const double bottom = top + row_height * static_cast<double>(panel.rows.size());
  const Ticks values =
      value_ticks(panel, static_cast<std::size_t>(std::max(2.0, (width - left - right) / (font * 5.2))));
  const Scale x{panel.value.scale, values.low, values.high, left, width - right};
  for (std::size_t row = 0; row < panel.rows.size(); ++row) {
    const double y = top + row_height * static_cast<double>(row);
    if (row < panel.may_be_first.size() && panel.may_be_first[row]) {
      drawing.body += fmt::format("<rect class=\"band\" fill=\"{}\" x=\"0\" y=\"{}\" width=\"{}\" height=\"{}\"/>",
                                  band, px(y), px(width), px(row_height));
    }
  }
  const std::string grid_rule = fmt::format("class=\"grid\" stroke=\"{}\" fill=\"none\"", grid);
  double last_end = -1e9;
  for (const double mark : values.marks) {
    if (!x.has(mark)) continue;
    drawing.body += rule_at(x.at(mark), top, x.at(mark), bottom, grid_rule.c_str());
    const std::string text = tick_text(panel.value.scale, mark);
    const double half = text_width(text) * small / 2;
    const double middle = std::clamp(x.at(mark), half, width - half);
    if (middle - half < last_end + font * 0.4) continue;
    last_end = middle + half;
    drawing.body += text_at(middle, bottom + font * 1.3, text, "soft", "middle", "", small);
  }
  const std::string axis_rule = fmt::format("class=\"axis\" stroke=\"{}\" fill=\"none\"", soft);
  drawing.body += rule_at(left, bottom, width - right, bottom, axis_rule.c_str());
  const double title_half = text_width(panel.value.title) * small / 2;
  drawing.body += text_at(
      std::clamp((left + width - right) / 2, std::min(title_half, width / 2), std::max(width - title_half, width / 2)),
      bottom + font * 2.65, panel.value.title, "soft", "middle", "", small);
  drawing.height = bottom + font * 3.05;
  for (std::size_t row = 0; row < panel.rows.size(); ++row) {
    const double middle = top + row_height * (static_cast<double>(row) + 0.5);
    drawing.body +=
        text_at(label_width, middle + font * 0.35, shortened(panel.rows[row], label_width / font + 0.2), "ink", "end");
    std::vector<std::pair<const ChartSeries*, const ChartPoint*>> points;
    for (const ChartSeries& series : panel.series) {
      for (const ChartPoint& point : series.points) {
        if (point.place == static_cast<double>(row)) points.emplace_back(&series, &point);
      }
    }
    for (std::size_t i = 0; i < points.size(); ++i) {
      const auto& [series, point] = points[i];
      const double y = middle + (static_cast<double>(i) - static_cast<double>(points.size() - 1) / 2) * font * 0.75;
      if (!x.has(point->value)) continue;
      drawing.body += series_group(*series);
      if (point->lower && point->upper && *point->upper > *point->lower) {
        const double low = x.clamped(*point->lower), high = x.clamped(*point->upper);
        const double cap = point->is_range ? 0 : font * 0.3;
        drawing.body +=
            fmt::format("<path class=\"interval\" fill=\"none\" stroke-width=\"1.5\"{} d=\"M{} {}L{} {}",
                        point->is_range ? " stroke-dasharray=\"2 1.5\"" : "", px(low), px(y), px(high), px(y));
        if (cap > 0)
          drawing.body += fmt::format("M{0} {1}V{2}M{3} {1}V{2}", px(low), px(y - cap), px(y + cap), px(high));
        drawing.body += "\"/>";
      }
      drawing.body += marker_of_point(*series, *point, x.at(point->value), y, font * 0.33) + "</g>";
      if (with_numbers && points.size() == 1)
        drawing.body += text_at(width - font * 0.3, middle + font * 0.35, short_number(point->value), "ink", "end");
    }
  }
  return drawing;
}

Drawing draw(const Chart& chart, const ChartPanel& panel, double width, double font) {
  return chart.dots ? draw_dots(panel, width, font, true) : draw_lines(panel, width, font);
}

constexpr const char* font_family = "font-family=\"'DejaVu Sans', 'Helvetica Neue', Helvetica, Arial, sans-serif\"";

std::string spoken(const Chart& chart, const ChartPanel& panel) {
  std::string text = chart.title + (panel.title.empty() ? "" : ", " + panel.title) + ". ";
  if (chart.dots) {
    std::size_t said = 0;
    for (std::size_t row = 0; row < panel.rows.size() && said < 8; ++row) {
      for (const ChartSeries& series : panel.series) {
        for (const ChartPoint& point : series.points) {
          if (point.place != static_cast<double>(row)) continue;
          text += panel.rows[row] + ": " + short_number(point.value);
          if (point.lower && point.upper && !point.is_range)
            text += " (" + short_number(*point.lower) + " to " + short_number(*point.upper) + ")";
          text += point.valid ? ". " : ", not valid. ";
          ++said;
        }
      }
    }
  } else {
    text += panel.value.title + " over " + panel.place.title + ". ";
  }
  return text + "The table below has all figures.";
}

}  // namespace

std::string panel_svg(const Chart& chart, const ChartPanel& panel, double width, double font_px) {
  const Drawing drawing = draw(chart, panel, width, font_px);
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" aria-label=\"{0}\" viewBox=\"0 0 {1} {2}\" width=\"{1}\" "
      "height=\"{2}\" font-size=\"{3}\">{4}</svg>",
      escaped(spoken(chart, panel)), px(width), px(drawing.height), px(font_px), drawing.body);
}

std::string swatch_svg(const ChartSeries& series, bool with_line) {
  std::string body = series_group(series);
  const char* dashes = dashes_of(series);
  if (with_line) {
    body += fmt::format("<path class=\"line\" fill=\"none\" stroke-width=\"1.6\"{} d=\"M1 7H27\"/>",
                        *dashes == '\0' ? "" : fmt::format(" stroke-dasharray=\"{}\"", dashes));
  }
  body += marker_of_point(series, ChartPoint{}, 14, 7, 3.9) + "</g>";
  return "<svg aria-hidden=\"true\" width=\"28\" height=\"14\" viewBox=\"0 0 28 14\">" + body + "</svg>";
}

std::vector<const ChartSeries*> legend_of(const Chart& chart) {
  std::vector<const ChartSeries*> all;
  std::set<std::string> seen;
  bool shared_rows = false;
  for (const ChartPanel& panel : chart.panels) {
    std::vector<std::size_t> in_row(panel.rows.size(), 0);
    for (const ChartSeries& series : panel.series) {
      for (const ChartPoint& point : series.points) {
        const auto row = static_cast<std::size_t>(point.place);
        if (chart.dots && !series.published && row < in_row.size() && ++in_row[row] > 1) shared_rows = true;
      }
    }
  }
  for (const ChartPanel& panel : chart.panels) {
    for (const ChartSeries& series : panel.series) {
      if (chart.dots && !shared_rows && !series.published) continue;
      if (seen.insert(series.name).second) all.push_back(&series);
    }
  }
  return all;
}

std::string figure_svg(const Chart& chart, double width_px, double font_px) {
  std::string body;
  double top = font_px * 0.2;
  const auto legend = legend_of(chart);
  double x = 0;
  for (const ChartSeries* series : legend) {
    const std::string name =
        shortened(series->published ? series->name + " (published)" : series->name, width_px / font_px - 5);
    const double wide = font_px * 2.6 + text_width(name) * font_px + font_px * 1.2;
    if (x > 0 && x + wide > width_px) {
      x = 0;
      top += font_px * 1.5;
    }
    const double scale = font_px * 2.2 / 28;
    body += fmt::format("<g transform=\"translate({} {}) scale({})\">", px(x), px(top + font_px * 0.05), px(scale));
    const std::string swatch = swatch_svg(*series, !chart.dots && series->joined);
    const std::size_t begin = swatch.find('>') + 1;
    body += swatch.substr(begin, swatch.rfind("</svg>") - begin) + "</g>";
    body += text_at(x + font_px * 2.5, top + font_px * 0.95, name, "ink");
    x += wide;
  }
  if (!legend.empty()) top += font_px * 2.2;
  const double gap = font_px * 1.8;
  const double narrowest = font_px * 24;
  const auto columns =
      std::min<std::size_t>(std::max<std::size_t>(1, static_cast<std::size_t>((width_px + gap) / (narrowest + gap))),
                            std::max<std::size_t>(1, chart.panels.size()));
  const double panel_width = (width_px - gap * static_cast<double>(columns - 1)) / static_cast<double>(columns);
  for (std::size_t i = 0; i < chart.panels.size(); i += columns) {
    double tallest = 0;
    for (std::size_t c = 0; c < columns && i + c < chart.panels.size(); ++c) {
      const Drawing drawing = draw(chart, chart.panels[i + c], panel_width, font_px);
      tallest = std::max(tallest, drawing.height);
      body += fmt::format("<g transform=\"translate({} {})\">{}</g>", px(static_cast<double>(c) * (panel_width + gap)),
                          px(top), drawing.body);
    }
    top += tallest + gap;
  }
  const double height = top - (chart.panels.empty() ? 0 : gap) + font_px * 0.2;
  return fmt::format(
      "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" "
      "width=\"{2}mm\" height=\"{3}mm\" font-size=\"{4}\" {5}>\n<title>{6}</title><desc>{7}</desc>\n<rect "
      "width=\"{0}\" "
      "height=\"{1}\" fill=\"#fff\"/>\n{8}\n</svg>\n",
      px(width_px), px(height), px(width_px * 25.4 / 96), px(height * 25.4 / 96), px(font_px), font_family,
      escaped(chart.title), escaped(chart.says), body);
}

}  // namespace bakeoff
