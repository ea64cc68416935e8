#include "harness/load/schedule.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>

#include "core/base/errors.h"

namespace bakeoff {

namespace {

double parse_rate(const std::string& option, const std::string& text, std::string_view number) {
  double rate = 0;
  const auto [stop, error] = std::from_chars(number.data(), number.data() + number.size(), rate);
  if (error != std::errc{} || stop != number.data() + number.size() || !(rate >= 0 && rate <= 1e9))
    throw UsageError(option + " " + text +
                     ": expected a rate per second (5000), steps (1000,2000,4000) or a ramp (1000..8000)");
  return rate;
}

double draw_gap(Arrivals arrivals, Random& random) {
  switch (arrivals) {
    case Arrivals::poisson: return -std::log(random.positive_unit());
    case Arrivals::uniform: return 2 * random.unit();
    case Arrivals::fixed: break;
  }
  return 1;
}

}  // namespace

RateProfile RateProfile::parse(const std::string& option, const std::string& text, double warmup_s, double duration_s) {
  std::vector<Segment> segments;
  if (const std::size_t dots = text.find(".."); dots != std::string::npos) {
    const double from = parse_rate(option, text, std::string_view(text).substr(0, dots));
    const double to = parse_rate(option, text, std::string_view(text).substr(dots + 2));
    segments = {{warmup_s, from, from}, {duration_s, from, to}};
  } else {
    for (std::size_t at = 0; at <= text.size();) {
      const std::size_t comma = std::min(text.find(',', at), text.size());
      const double rate = parse_rate(option, text, std::string_view(text).substr(at, comma - at));
      segments.push_back({0, rate, rate});
      at = comma + 1;
    }
    for (Segment& segment : segments) segment.duration_s = duration_s / static_cast<double>(segments.size());
    segments.insert(segments.begin(), {warmup_s, segments.front().from_per_s, segments.front().from_per_s});
  }
  if (std::all_of(segments.begin(), segments.end(),
                  [](const Segment& segment) { return segment.from_per_s + segment.to_per_s == 0; }))
    throw UsageError(option + " " + text + ": a rate of 0 sends nothing");
  return RateProfile(std::move(segments));
}

double RateProfile::area(double from_s, double to_s) const {
  double sum = 0, start_s = 0;
  for (std::size_t i = 0; i < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    const double slope = segment.duration_s > 0 ? (segment.to_per_s - segment.from_per_s) / segment.duration_s : 0;
    const double low_s = std::max(from_s - start_s, 0.0);
    const double high_s = std::min(to_s - start_s, segment.duration_s);
    if (high_s > low_s) sum += (high_s - low_s) * (segment.from_per_s + slope * (low_s + high_s) / 2);
    start_s += segment.duration_s;
  }
  if (to_s > start_s) sum += (to_s - std::max(from_s, start_s)) * segments_.back().to_per_s;
  return sum;
}

Arrivals parse_arrivals(const std::string& text) {
  for (const Arrivals arrivals : {Arrivals::fixed, Arrivals::poisson, Arrivals::uniform})
    if (text == name_of(arrivals)) return arrivals;
  throw UsageError("--arrivals " + text + ": expected fixed, poisson or uniform");
}

std::string_view name_of(Arrivals arrivals) {
  switch (arrivals) {
    case Arrivals::poisson: return "poisson";
    case Arrivals::uniform: return "uniform";
    case Arrivals::fixed: break;
  }
  return "fixed";
}

Schedule::Schedule(RateProfile profile, Arrivals arrivals, Random random, std::size_t first, std::size_t stride,
                   WaitingArrivals* waiting)
    : next_(first),
      stride_(stride),
      profile_(std::move(profile)),
      arrivals_(arrivals),
      random_(random),
      waiting_(waiting) {}

Schedule::Schedule(std::shared_ptr<const std::vector<double>> times_s, std::size_t first, std::size_t stride)
    : times_s_(std::move(times_s)), next_(first), stride_(stride), profile_({}), random_(0) {}

std::int64_t Schedule::given_ns() const {
  return next_ < times_s_->size() ? begin_ns_ + static_cast<std::int64_t>((*times_s_)[next_] * 1e9) : never_ns;
}

void Schedule::begin(std::int64_t now_ns) {
  begin_ns_ = now_ns;
  next_ns_ = now_ns;
  if (times_s_) {
    next_ns_ = given_ns();
  } else {
    go_on(next_ + 1);
  }
}

void Schedule::pop() {
  if (times_s_) {
    next_ += stride_;
    next_ns_ = given_ns();
  } else {
    go_on(stride_);
  }
}

void Schedule::go_on(std::size_t arrivals) {
  for (; arrivals > 0; --arrivals) advance(draw_gap(arrivals_, random_));
}

std::optional<std::int64_t> Schedule::take(std::int64_t now_ns) {
  if (waiting_ != nullptr) {
    if (const auto waited = waiting_->take()) return waited;
  }
  if (next_ns_ > now_ns) return std::nullopt;
  const std::int64_t due_ns = next_ns_;
  pop();
  return due_ns;
}

bool Schedule::hand_over(std::int64_t now_ns) {
  bool any = false;
  for (; waiting_ != nullptr && next_ns_ <= now_ns && waiting_->add(next_ns_); any = true) pop();
  return any;
}

// Goes to the time by which `gap` more arrivals are to be expected: the inverse of the rate's integral.
void Schedule::advance(double gap) {
  for (;;) {
    const bool last = segment_ == profile_.segments().size();
    const RateProfile::Segment segment =
        last ? RateProfile::Segment{std::numeric_limits<double>::infinity(), profile_.segments().back().to_per_s,
                                    profile_.segments().back().to_per_s}
             : profile_.segments()[segment_];
    const double slope =
        segment.from_per_s == segment.to_per_s ? 0 : (segment.to_per_s - segment.from_per_s) / segment.duration_s;
    const double rate = segment.from_per_s + slope * in_segment_s_;
    const double left_s = segment.duration_s - in_segment_s_;
    const double left =
        last ? (rate > 0 ? std::numeric_limits<double>::infinity() : 0) : left_s * (rate + segment.to_per_s) / 2;
    if (gap <= left) {
      // The positive root of slope/2 t^2 + rate t = gap, in the form that is exact for a slope of 0, too.
      in_segment_s_ += 2 * gap / (rate + std::sqrt(std::max(0.0, rate * rate + 2 * slope * gap)));
      next_ns_ = begin_ns_ + static_cast<std::int64_t>((segment_start_s_ + in_segment_s_) * 1e9);
      return;
    }
    if (last) {
      next_ns_ = never_ns;
      return;
    }
    gap -= left;
    segment_start_s_ += segment.duration_s;
    in_segment_s_ = 0;
    ++segment_;
  }
}

}  // namespace bakeoff
