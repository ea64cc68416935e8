#include "harness/run/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace bakeoff {

bool talks_to_terminal() {
  const char* terminal = std::getenv("TERM");
  return isatty(STDERR_FILENO) == 1 && (terminal == nullptr || std::string_view(terminal) != "dumb");
}

bool may_colour() {
  const char* refused = std::getenv("NO_COLOR");
  return talks_to_terminal() && (refused == nullptr || *refused == '\0');
}

std::string duration_words(double seconds) {
  const auto whole = static_cast<long>(std::lround(std::max(0.0, seconds)));
  if (whole < 60) return std::to_string(whole) + " s";
  if (whole < 3600) return std::to_string(whole / 60) + " min " + std::to_string(whole % 60) + " s";
  return std::to_string(whole / 3600) + " h " + std::to_string(whole % 3600 / 60) + " min";
}

namespace {

constexpr std::size_t most_table_lines = 13;

winsize terminal_size() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col < 20) size.ws_col = 80;
  if (size.ws_row == 0) size.ws_row = 24;
  return size;
}

std::string cut(const std::string& line, std::size_t width) {
  std::size_t at = 0, columns = 0;
  const auto is_inside = [](char byte) { return (static_cast<unsigned char>(byte) & 0xc0) == 0x80; };
  while (at < line.size() && columns < width) {
    ++columns;
    do ++at;
    while (at < line.size() && is_inside(line[at]));
  }
  return line.substr(0, at);
}

constexpr const char* clear_below = "\r\x1b[J";

}  // namespace

std::string redrawn(const std::string& line, const std::vector<std::string>& table, std::size_t width) {
  std::string text = clear_below + cut(line, width);
  for (const std::string& row : table) text += "\r\n" + cut(row, width);
  if (!table.empty()) text += "\x1b[" + std::to_string(table.size()) + "A";
  return text + "\r";
}

Progress::Progress(std::size_t steps, double expected_step_s, Talk talk)
    : steps_(steps),
      expected_step_s_(expected_step_s),
      terminal_(talk == Talk::normal && talks_to_terminal()),
      quiet_(talk == Talk::quiet) {}

Progress::~Progress() { finish(); }

void Progress::finish() {
  if (terminal_) std::fputs(clear_below, stderr);
}

std::string Progress::time_left() const {
  const double taken_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const double step_s = done_ < 3 ? expected_step_s_ : taken_s / static_cast<double>(done_);
  return duration_words(step_s * static_cast<double>(steps_ - done_)) + " left";
}

void Progress::begin(const std::string& what) {
  if (!terminal_) return;
  constexpr std::size_t width = 24;
  const std::size_t filled = steps_ == 0 ? 0 : done_ * width / steps_;
  const std::string line = "[" + std::string(filled, '#') + std::string(width - filled, '.') + "] " +
                           std::to_string(done_) + "/" + std::to_string(steps_) + ", " + time_left() + ": " + what;
  std::fputs(redrawn(line, table_, terminal_size().ws_col - 1).c_str(), stderr);
}

std::size_t Progress::table_lines() const {
  return terminal_ ? std::min<std::size_t>(most_table_lines, terminal_size().ws_row - 1) : 0;
}

void Progress::end(const std::string& outcome) {
  steps_ = std::max(steps_, ++done_);  // a search may take more than was expected
  if (terminal_ || quiet_) return;
  const auto now = std::chrono::steady_clock::now();
  if (done_ < steps_ && now - shown_ < std::chrono::seconds(1)) return;
  shown_ = now;
  std::fprintf(stderr, "[%zu/%zu] %s, %s\n", done_, steps_, outcome.c_str(), time_left().c_str());
}

void Progress::say(const std::string& line) {
  if (quiet_) return;
  std::fprintf(stderr, "%s%s\n", terminal_ ? clear_below : "", line.c_str());
}

}  // namespace bakeoff
