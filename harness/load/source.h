// What to ask for: the texts of all requests, made before the run, and the order in which they are drawn.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "harness/load/url.h"
#include "workloads/workload.h"

namespace bakeoff {

struct Request {
  static constexpr std::int64_t any_length = -1;

  std::uint32_t text_offset = 0;
  std::uint32_t text_bytes = 0;
  std::int64_t expected_bytes = any_length;  // of the reply's body
  std::uint64_t content_seed = 0;            // with has_content: what the body must be
  std::uint32_t class_index = 0;
  bool has_content = false;
  bool head = false;                         // a HEAD request: the reply has no body
};

// All requests that a run may send. Immutable while it runs; shared by threads.
class RequestTable {
 public:
  // A GET for each file of a workload.
  RequestTable(const Url& url, const Workload& workload, bool close);
  // One GET. expected_bytes: of the body, or any_length.
  RequestTable(const Url& url, std::int64_t expected_bytes, bool close);

  const Request& operator[](std::uint32_t index) const { return requests_[index]; }
  std::string_view text(const Request& request) const { return {texts_.data() + request.text_offset, request.text_bytes}; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(requests_.size()); }
  // Sizes of the classes of files; -1 where it is not known.
  const std::vector<std::int64_t>& class_sizes_bytes() const { return class_sizes_bytes_; }

 private:
  void add(std::string_view method, std::string_view path, const std::string& fields, Request request);

  std::string texts_;
  std::vector<Request> requests_;
  std::vector<std::int64_t> class_sizes_bytes_;
};

// Draws the next request for a slot. One a thread.
class Source {
 public:
  virtual ~Source() = default;
  virtual std::uint32_t next(std::uint32_t slot) = 0;  // an index into the RequestTable
};

// Always the same one.
class SingleSource : public Source {
 public:
  std::uint32_t next(std::uint32_t) override { return 0; }
};

// Each slot draws from the workload's popularity on a stream of its own, so that its requests do not depend on how fast
// the other slots are served.
class WorkloadSource : public Source {
 public:
  // first_slot: the number of this thread's first slot among all of the run's, for the streams' sake.
  WorkloadSource(const Workload& workload, std::uint64_t seed, std::uint32_t first_slot, std::uint32_t slots);
  std::uint32_t next(std::uint32_t slot) override { return sources_[slot].next(); }

 private:
  std::vector<RequestSource> sources_;
};

}  // namespace bakeoff
