#include "results/timeline/picture.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "results/figures/markup.h"
#include "results/timeline/sentences.h"

namespace bakeoff {
namespace {

constexpr double left_px = 168, right_margin_px = 14;
constexpr double row_px = 22, gap_px = 9, font_px = 12.5;
constexpr double counter_px = 40;
constexpr const char* ink = "#1c2126";
constexpr const char* soft = "#59636e";
constexpr const char* grid = "#e3e7eb";
constexpr const char* paper = "#ffffff";
constexpr double narrowest_px = 0.5;  // what is shorter is drawn so wide

// States differ in height, too, so that they do in print without colours.
constexpr std::array<LaneState, 4> states = {LaneState::waiting_for_socket, LaneState::computing, LaneState::runnable,
                                             LaneState::waiting_for_disk};
double height_of(LaneState state) {
  switch (state) {
    case LaneState::computing: return 16;
    case LaneState::waiting_for_socket: return 3;
    case LaneState::waiting_for_disk: return 12;
    case LaneState::runnable: return 8;
  }
  return 0;
}

std::string px(double value) {
  std::string text = fmt::format("{:.2f}", value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return text == "-0" ? "0" : text;
}

struct Row {
  std::size_t lane;
  double middle;
};

class Picture {
 public:
  Picture(const Timeline& timeline, const PictureFrame& frame)
      : timeline_(timeline),
        width_(frame.width_px),
        length_ns_(frame.length_ns > 0 ? frame.length_ns : timeline.length_ns),
        scale_((frame.width_px - left_px - right_margin_px) / static_cast<double>(length_ns_)) {}

  std::string draw() {
    place_rows();
    const double lanes_end = y_;
    draw_axis_lines(lanes_end + gap_px + counter_px);
    for (const Row& row : rows_) draw_row(row);
    draw_way();
    y_ = lanes_end + gap_px;
    draw_counter();
    draw_axis_labels();
    return head() + body_ + "</svg>\n";
  }

 private:
  double x(std::int64_t ns) const { return left_px + scale_ * static_cast<double>(ns); }

  void text(double at_x, double y, const std::string& words, const char* look, const char* anchor) {
    body_ += fmt::format("<text x=\"{}\" y=\"{}\" class=\"{}\" fill=\"{}\"{}>{}</text>", px(at_x), px(y), look,
                         std::string_view(look) == "ink" ? ink : soft,
                         std::string_view(anchor) == "start" ? "" : fmt::format(" text-anchor=\"{}\"", anchor),
                         escaped(words));
  }

  std::string head() const {
    const double height = y_ + 34;
    std::string says;
    for (const std::string& sentence : sentences_of(timeline_)) says += sentence + " ";
    return fmt::format(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {0} {1}\" width=\"{0}\" height=\"{1}\" role=\"img\" "
        "font-family=\"system-ui, 'DejaVu Sans', Arial, sans-serif\" font-size=\"{2}\"><title>{3}: where requests "
        "wait</title><desc>{4}</desc><path class=\"paper\" fill=\"{5}\" d=\"M0 0H{0}V{1}H0Z\"/>",
        px(width_), px(height), px(font_px), escaped(timeline_.server), escaped(says), paper);
  }

  void place_rows() {
    y_ = 6;
    std::optional<LaneKind> before;
    for (std::size_t l = 0; l < timeline_.lanes.size(); ++l) {
      const TimelineLane& lane = timeline_.lanes[l];
      const bool does_something =
          lane.kind == LaneKind::client
              ? std::any_of(timeline_.requests.begin(), timeline_.requests.end(),
                            [&](const TracedRequest& request) { return client_lane(request.client) == l; })
              : !lane.slices.empty();
      if (!does_something) continue;
      if (before && *before != lane.kind && (*before == LaneKind::client || lane.kind == LaneKind::arm)) y_ += gap_px;
      before = lane.kind;
      rows_.push_back({l, y_ + row_px / 2});
      y_ += row_px;
    }
  }

  std::optional<std::size_t> client_lane(int client) const {
    const std::string name = fmt::format("client {}", client);
    for (std::size_t l = 0; l < timeline_.lanes.size(); ++l) {
      if (timeline_.lanes[l].kind == LaneKind::client && timeline_.lanes[l].name == name) return l;
    }
    return std::nullopt;
  }

  const Row* row_of(std::size_t lane) const {
    for (const Row& row : rows_) {
      if (row.lane == lane) return &row;
    }
    return nullptr;
  }

  // Rectangles of one look as one path; what is too near to be told apart is drawn as one.
  std::string boxes(const std::vector<Span>& spans, double middle, double height) const {
    std::string path;
    double begin = -1, end = -1;
    const auto flush = [&] {
      if (end > begin)
        path += fmt::format("M{} {}H{}V{}H{}Z", px(begin), px(middle - height / 2), px(end), px(middle + height / 2),
                            px(begin));
    };
    for (const Span& span : spans) {
      const double from = x(span.begin_ns), to = std::max(x(span.end_ns), from + narrowest_px);
      if (begin >= 0 && from <= end + 0.1) {
        end = std::max(end, to);
        continue;
      }
      flush();
      begin = from;
      end = to;
    }
    flush();
    return path;
  }

  void add_boxes(const std::vector<Span>& spans, double middle, double height, const StateLook& look) {
    const std::string path = boxes(spans, middle, height);
    if (!path.empty()) body_ += fmt::format("<path class=\"{}\" fill=\"{}\" d=\"{}\"/>", look.css, look.colour, path);
  }

  void draw_row(const Row& row) {
    const TimelineLane& lane = timeline_.lanes[row.lane];
    const double label_width = (left_px - 12) / font_px;
    const std::string name = lane.kind == LaneKind::user_thread ? lane.name + ", user-level" : lane.name;
    text(left_px - 10, row.middle + font_px * 0.35, shortened(name, label_width), "ink", "end");
    body_ += fmt::format("<path class=\"rule\" stroke=\"{}\" fill=\"none\" d=\"M{} {}H{}\"/>", grid, px(left_px),
                         px(row.middle), px(width_ - right_margin_px));
    if (lane.kind == LaneKind::client) {
      std::vector<Span> asked, still;
      for (const TracedRequest& request : timeline_.requests) {
        if (client_lane(request.client) == row.lane) asked.push_back(request);
      }
      for (const Stall& stall : timeline_.stalls) {
        if (client_lane(stall.client) == row.lane) still.push_back(stall);
      }
      const std::string path = boxes(asked, row.middle, 12);
      body_ += fmt::format("<path class=\"asked\" fill=\"#d5dbe1\" stroke=\"{}\" stroke-width=\".6\" d=\"{}\"/>", soft,
                           path);
      add_boxes(still, row.middle, 12, look_of_still());
      return;
    }
    if (lane.kind == LaneKind::arm) {
      add_boxes(lane.served, row.middle, 12, look_of(LaneState::waiting_for_disk));
      return;
    }
    for (const LaneState state : states) {
      std::vector<Span> spans;
      for (const Slice& slice : lane.slices) {
        if (slice.state == state) spans.push_back(slice);
      }
      add_boxes(spans, row.middle, height_of(state), look_of(state));
    }
  }

  // One request: from its client to each lane that works on it, and back.
  void draw_way() {
    const std::optional<std::size_t> followed = request_to_follow(timeline_);
    if (!followed) return;
    const TracedRequest& request = timeline_.requests[*followed];
    const auto home = client_lane(request.client);
    const Row* const client = home ? row_of(*home) : nullptr;
    if (client == nullptr) return;
    double at_x = x(request.begin_ns), at_y = client->middle;
    std::string path = fmt::format("M{} {}", px(at_x), px(at_y)), heads;
    const auto go = [&](double to_x, double to_y) {
      path += fmt::format("L{} {}", px(to_x), px(to_y));
      if (std::fabs(to_y - at_y) > 1) {  // an arrow-head where it changes lanes
        const double length = std::hypot(to_x - at_x, to_y - at_y);
        const double dx = (to_x - at_x) / length, dy = (to_y - at_y) / length;
        heads += fmt::format("M{} {}L{} {}L{} {}Z", px(to_x), px(to_y), px(to_x - 7 * dx - 3.4 * dy),
                             px(to_y - 7 * dy + 3.4 * dx), px(to_x - 7 * dx + 3.4 * dy), px(to_y - 7 * dy - 3.4 * dx));
      }
      at_x = to_x;
      at_y = to_y;
    };
    std::size_t drawn = 0;
    constexpr std::size_t most_stations = 60;
    for (const Hop& hop : request.hops) {
      const Row* const row = row_of(hop.lane);
      if (row == nullptr || ++drawn > most_stations) continue;
      const Step& step = timeline_.lanes[hop.lane].steps[hop.step];
      go(std::max(x(std::max(step.begin_ns, request.begin_ns)), at_x), row->middle);
      go(std::max(x(std::min(step.end_ns, request.end_ns)), at_x), row->middle);
    }
    if (request.answered) go(std::max(x(request.end_ns), at_x), client->middle);
    // Light below dark, so that it is seen on every colour.
    body_ += fmt::format(
        "<g class=\"way\"><path class=\"halo\" stroke=\"{0}\" stroke-width=\"3\" stroke-linejoin=\"round\" "
        "fill=\"none\" d=\"{2}\"/><path class=\"line\" stroke=\"{1}\" stroke-width=\"1.3\" stroke-linejoin=\"round\" "
        "fill=\"none\" d=\"{2}\"/><path class=\"head\" fill=\"{1}\" stroke=\"none\" d=\"{3}\"/></g>",
        paper, ink, path, heads);
  }

  void draw_counter() {
    int most = 0;
    for (const auto& [at, count] : timeline_.stalled) most = std::max(most, count);
    const double bottom = y_ + counter_px;
    const double high = std::max(most, 1);
    const auto level = [&](int count) { return bottom - (counter_px - 6) * count / high; };
    text(left_px - 10, y_ + counter_px / 2 - 1, "connections that", "ink", "end");
    text(left_px - 10, y_ + counter_px / 2 + font_px, "stand still", "ink", "end");
    std::string path = fmt::format("M{} {}", px(x(0)), px(bottom));
    for (const auto& [at, count] : timeline_.stalled) path += fmt::format("H{}V{}", px(x(at)), px(level(count)));
    path += fmt::format("H{}V{}Z", px(x(timeline_.length_ns)), px(bottom));
    const StateLook& look = look_of_still();
    body_ += fmt::format("<path class=\"{0} still-count\" fill=\"{1}\" stroke=\"{1}\" d=\"{2}\"/>", look.css,
                         look.colour, path);
    if (most > 0) text(left_px + 3, y_ + 10, std::to_string(most), "soft", "start");
    y_ = bottom;
  }

  double tick_ms() const {
    const double length_ms = static_cast<double>(length_ns_) / 1e6;
    const double rough = length_ms / 10;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
      if (factor * power >= rough) return factor * power;
    }
    return 10 * power;
  }

  void draw_axis_lines(double bottom) {
    const double tick = tick_ms();
    std::string path;
    for (int i = 0; i * tick * 1e6 <= static_cast<double>(length_ns_); ++i)
      path += fmt::format("M{} 2V{}", px(x(std::llround(i * tick * 1e6))), px(bottom));
    body_ += fmt::format("<path class=\"rule\" stroke=\"{}\" fill=\"none\" d=\"{}\"/>", grid, path);
  }

  void draw_axis_labels() {
    const double tick = tick_ms();
    body_ += fmt::format("<path class=\"axis\" stroke=\"{}\" fill=\"none\" d=\"M{} {}H{}\"/>", soft, px(left_px),
                         px(y_), px(width_ - right_margin_px));
    for (int i = 0; i * tick * 1e6 <= static_cast<double>(length_ns_); ++i)
      text(x(std::llround(i * tick * 1e6)), y_ + 16, fmt::format("{:g}", i * tick), "soft", "middle");
    text(left_px - 10, y_ + 16, "ms", "soft", "end");
  }

  const Timeline& timeline_;
  double width_;
  std::int64_t length_ns_;
  double scale_;
  double y_ = 0;
  std::vector<Row> rows_;
  std::string body_;
};

}  // namespace

std::string picture_svg(const Timeline& timeline, const PictureFrame& frame) { return Picture(timeline, frame).draw(); }

double picture_left_px() { return left_px; }
double picture_right_px(const PictureFrame& frame) { return frame.width_px - right_margin_px; }

const StateLook& look_of(LaneState state) {
  static const StateLook on{"on", "#0072b2", "#56b4e9", "computing"};
  static const StateLook socket{"socket", "#8a929b", "#8b96a1", "waiting for a socket"};
  static const StateLook disk{"disk", "#d55e00", "#ff8c42", "waiting for the disk"};
  static const StateLook ready{"ready", "#b0438f", "#e79ccb", "able to run, but not running"};
  switch (state) {
    case LaneState::computing: return on;
    case LaneState::waiting_for_socket: return socket;
    case LaneState::waiting_for_disk: return disk;
    case LaneState::runnable: break;
  }
  return ready;
}

const StateLook& look_of_still() {
  static const StateLook still{"still", "#444444", "#f0c040", "stands still because of another"};
  return still;
}

std::string legend_items() {
  std::string items;
  const auto item = [&](const StateLook& look, double height) {
    items += fmt::format(
        "<li><svg width=\"22\" height=\"16\" viewBox=\"0 0 22 16\" aria-hidden=\"true\"><path class=\"{}\" "
        "fill=\"{}\" d=\"M0 {}H22V{}H0Z\"/></svg>{}</li>",
        look.css, look.colour, px(8 - height / 2), px(8 + height / 2), look.label);
  };
  for (const LaneState state :
       {LaneState::computing, LaneState::waiting_for_socket, LaneState::waiting_for_disk, LaneState::runnable})
    item(look_of(state), height_of(state));
  items += fmt::format(
      "<li><svg width=\"22\" height=\"16\" viewBox=\"0 0 22 16\" aria-hidden=\"true\"><path class=\"asked\" "
      "fill=\"#d5dbe1\" stroke=\"{}\" stroke-width=\".6\" d=\"M1 2H21V14H1Z\"/></svg>a request under way</li>",
      soft);
  item(look_of_still(), 12);
  items += fmt::format(
      "<li><svg width=\"22\" height=\"16\" viewBox=\"0 0 22 16\" aria-hidden=\"true\"><g class=\"way\"><path "
      "class=\"line\" stroke=\"{0}\" stroke-width=\"1.5\" fill=\"none\" d=\"M2 14L14 4\"/><path class=\"head\" "
      "fill=\"{0}\" d=\"M20 0L16 7L12 2Z\"/></g></svg>the way of one request</li>",
      ink);
  return items;
}

}  // namespace bakeoff
