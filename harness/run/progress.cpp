#include "harness/run/progress.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string_view>

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

Progress::Progress(std::size_t steps, double expected_step_s) : steps_(steps), expected_step_s_(expected_step_s) {}

Progress::~Progress() { finish(); }

void Progress::finish() {
  if (terminal_) std::fputs("\r\x1b[K", stderr);
}

std::string Progress::time_left() const {
  const double taken_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  const double step_s = done_ < 3 ? expected_step_s_ : taken_s / static_cast<double>(done_);
  return duration_words(step_s * static_cast<double>(steps_ - std::min(done_, steps_))) + " left";
}

void Progress::begin(const std::string& what) {
  if (!terminal_) return;
  constexpr std::size_t width = 24;
  const std::size_t filled = steps_ == 0 ? 0 : std::min(width, done_ * width / steps_);
  std::fprintf(stderr, "\r\x1b[K[%s%s] %zu/%zu, %s: %s", std::string(filled, '#').c_str(), std::string(width - filled, '.').c_str(), done_, steps_,
               time_left().c_str(), what.c_str());
}

void Progress::end(const std::string& outcome) {
  ++done_;
  if (terminal_) return;
  const auto now = std::chrono::steady_clock::now();
  if (done_ < steps_ && now - shown_ < std::chrono::seconds(1)) return;
  shown_ = now;
  std::fprintf(stderr, "[%zu/%zu] %s, %s\n", done_, steps_, outcome.c_str(), time_left().c_str());
}

void Progress::say(const std::string& line) { std::fprintf(stderr, "%s%s\n", terminal_ ? "\r\x1b[K" : "", line.c_str()); }

}  // namespace bakeoff
