#include "results/timeline/timeline_page.h"
#include "core/base/untrusted.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "results/figures/markup.h"
#include "results/page/document.h"
#include "results/timeline/picture.h"
#include "results/timeline/sentences.h"

namespace bakeoff {
namespace {

// So many slices of a server go into the player; of more, the shortest are left out.
constexpr std::size_t most_slices = 6000;

// The colours as the page's variables, bright and dark.
std::string state_style() {
  std::string light, dark, rules;
  const auto add = [&](const StateLook& look) {
    light += fmt::format("--{}:{};", look.css, look.colour);
    dark += fmt::format("--{}:{};", look.css, look.dark_colour);
    rules += fmt::format(".{0}{{fill:var(--{0})}}", look.css);
  };
  for (const LaneState state :
       {LaneState::computing, LaneState::waiting_for_socket, LaneState::waiting_for_disk, LaneState::runnable})
    add(look_of(state));
  add(look_of_still());
  return fmt::format(":root{{{}}}@media screen and (prefers-color-scheme:dark){{:root{{{}}}}}{}", light, dark, rules);
}

std::int64_t least_shown_ns(const Timeline& timeline) {
  std::vector<std::int64_t> lengths;
  for (const TimelineLane& lane : timeline.lanes) {
    for (const Slice& slice : lane.slices) lengths.push_back(slice.length_ns());
  }
  if (lengths.size() <= most_slices) return 0;
  const auto at = lengths.begin() + static_cast<std::ptrdiff_t>(lengths.size() - most_slices);
  std::nth_element(lengths.begin(), at, lengths.end());
  return *at;
}

// What the player needs of a server: its lanes' slices, what stands still, and the moments at which something changes.
nlohmann::ordered_json player_data(const Timeline& timeline) {
  const std::int64_t least_ns = least_shown_ns(timeline);
  nlohmann::ordered_json lanes = nlohmann::ordered_json::array();
  for (const TimelineLane& lane : timeline.lanes) {
    if (lane.kind == LaneKind::client || lane.slices.empty()) continue;
    nlohmann::ordered_json slices = nlohmann::ordered_json::array();
    for (const Slice& slice : lane.slices) {
      if (slice.length_ns() < least_ns) continue;
      slices.push_back(
          {microseconds(slice.begin_ns), microseconds(slice.end_ns), static_cast<int>(slice.state), slice.client});
    }
    lanes.push_back({{"name", lane.name}, {"arm", lane.kind == LaneKind::arm}, {"slices", slices}});
  }
  nlohmann::ordered_json still = nlohmann::ordered_json::array();
  for (const Stall& stall : timeline.stalls)
    still.push_back({microseconds(stall.begin_ns), microseconds(stall.end_ns), stall.client});
  return {{"server", timeline.server}, {"lanes", lanes}, {"still", still}};
}

std::string lanes_table(const Timeline& timeline) {
  std::vector<std::vector<std::string>> rows;
  for (const TimelineLane& lane : timeline.lanes) {
    if (lane.kind == LaneKind::client || lane.slices.empty()) continue;
    std::vector<std::string> row = {isolated(lane.name)};
    if (lane.kind == LaneKind::arm) {
      std::int64_t served_ns = 0;
      for (const Span& span : lane.served) served_ns += span.length_ns();
      row.insert(row.end(), {"", "", duration_text(served_ns) + " serving", "", ""});
    } else {
      for (const LaneState state :
           {LaneState::computing, LaneState::waiting_for_socket, LaneState::waiting_for_disk, LaneState::runnable})
        row.push_back(duration_text(time_in(lane, state)));
      row.push_back(std::to_string(lane.steps.size()));
    }
    rows.push_back(std::move(row));
  }
  std::string text = table_element(
      timeline.server + ": what each lane did",
      {"Lane", "computing", "waiting for a socket", "waiting for the disk", "able to run", "steps"}, 1, rows);
  rows.clear();
  constexpr std::size_t most_rows = 60;
  for (std::size_t r = 0; r < std::min(timeline.requests.size(), most_rows); ++r) {
    const TracedRequest& request = timeline.requests[r];
    std::string lanes;
    std::size_t before = timeline.lanes.size();
    for (const Hop& hop : request.hops) {
      if (hop.lane == before) continue;
      before = hop.lane;
      lanes += (lanes.empty() ? "" : ", ") + isolated(timeline.lanes[hop.lane].name);
    }
    rows.push_back({std::to_string(r + 1), std::to_string(request.client), lanes, duration_text(request.begin_ns),
                    request.answered ? duration_text(request.length_ns()) : "no reply"});
  }
  text += table_element(timeline.server + ": the requests",
                        {"Request", "Client", "Who worked on it", "asked at", "took"}, 3, rows);
  if (timeline.requests.size() > most_rows)
    text += fmt::format("<p>{} of {} requests; the .json file has all.</p>", most_rows, timeline.requests.size());
  return text;
}

std::string section_of(const TracedServer& server, std::size_t number, std::int64_t length_ns) {
  const PictureFrame frame{.length_ns = length_ns};
  std::string text;
  if (!server.remark.empty()) text += "<p class=\"warn\" role=\"note\">" + escaped(server.remark) + ".</p>";
  text += "<ul class=\"seen\">";
  for (const std::string& sentence : server.sentences) text += "<li>" + escaped(sentence) + "</li>";
  text += fmt::format(
      "</ul><figure class=\"timeline\"><div class=\"scroll\" role=\"region\" tabindex=\"0\" aria-label=\"Picture of "
      "{}\" data-server=\"{}\" data-left=\"{}\" data-right=\"{}\">{}</div><p class=\"now\" hidden></p></figure>",
      escaped(server.timeline.server), number, picture_left_px(), picture_right_px(frame),
      picture_svg(server.timeline, frame));
  text += "<details><summary>As tables</summary>" + lanes_table(server.timeline) + "</details>";
  return text;
}

std::string player() {
  std::string speeds;
  for (const auto& [value, words] : {std::pair{"0.001", "1/1000"},
                                     {"0.002", "1/500"},
                                     {"0.005", "1/200"},
                                     {"0.01", "1/100"},
                                     {"0.02", "1/50"},
                                     {"0.1", "1/10"},
                                     {"1", "1"}})
    speeds += fmt::format("<option value=\"{}\">{}</option>", value, words);
  return "<form id=\"player\" hidden aria-label=\"Player\"><button type=\"button\" id=\"back\" aria-label=\"One event "
         "back\">◂ event</button><button type=\"button\" id=\"play\">play</button><button type=\"button\" id=\"on\" "
         "aria-label=\"One event on\">event ▸</button><label>Speed <select id=\"speed\">" +
         speeds +
         "</select></label><label class=\"moment\">Moment <input type=\"range\" id=\"at\" min=\"0\" step=\"1\" "
         "value=\"0\"></label><output id=\"clock\" for=\"at\">0 ms</output></form>";
}

}  // namespace

std::int64_t longest_of(const std::vector<TracedServer>& servers) {
  std::int64_t longest_ns = 0;
  for (const TracedServer& server : servers) longest_ns = std::max(longest_ns, server.timeline.length_ns);
  return longest_ns;
}

std::string timeline_page(const std::string& title, const std::string& about,
                          const std::vector<TracedServer>& servers) {
  const std::int64_t length_ns = longest_of(servers);
  const std::string heading = title.empty() ? "Where a request waits" : title;
  std::string body =
      "<a class=\"skip\" href=\"#server-0\">To the pictures</a><header><p class=\"kind\">bakeoff "
      "trace</p><h1>" +
      isolated(heading) + "</h1>";
  if (!about.empty()) body += "<div class=\"about\"><h2>What to look for</h2>" + paragraphs(about) + "</div>";
  body += "</header>\n<ul class=\"legend\">" + legend_items() + "</ul>" + player() +
          "<noscript><p class=\"note\">With JavaScript the pictures can be played.</p></noscript>\n<main>\n";
  nlohmann::ordered_json data = {{"length", microseconds(length_ns)}, {"servers", nlohmann::ordered_json::array()}};
  for (const LaneState state :
       {LaneState::computing, LaneState::waiting_for_socket, LaneState::waiting_for_disk, LaneState::runnable})
    data["states"].push_back(name_of(state));
  for (std::size_t i = 0; i < servers.size(); ++i) {
    body += section(fmt::format("server-{}", i), isolated(servers[i].timeline.server),
                    section_of(servers[i], i, length_ns));
    data["servers"].push_back(player_data(servers[i].timeline));
  }
  body +=
      "</main>\n<footer><p>Written by bakeoff from what the servers, their clients and the disk recorded; all pictures "
      "have the same time axis. A wait for a socket includes waiting for all of them at once. How long a lane could "
      "run but did not is what the kernel counts (schedstat); it is drawn at the end of the wait in which it was "
      "found. A blank lane has nothing to do.</p></footer>\n";
  Document document{heading, state_style() + data_text("results/timeline/timeline.css"), body, {}, {}};
  document.data.push_back(json_element("timelines", json_text(data)));
  document.scripts.push_back(data_text("results/timeline/timeline.js"));
  return to_html(document);
}

}  // namespace bakeoff
