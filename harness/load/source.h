// What to ask for. The texts of requests are made before they are needed, and stay where they are while they are
// in flight.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "harness/load/url.h"
#include "workloads/workload.h"

namespace bakeoff {

struct ClientRequest {
  static constexpr std::int64_t any_length = -1;
  static constexpr std::int64_t length_of_first = -2;  // as long as the first reply of the run

  const char* text = nullptr;
  std::uint32_t text_bytes = 0;
  std::uint32_t class_index = 0;             // of files, as the report groups them
  std::int64_t expected_bytes = any_length;  // of the reply's body
  std::uint64_t content_seed = 0;            // with has_content: what the body must be
  bool has_content = false;
  bool head = false;       // a HEAD request: the reply has no body
  bool idempotent = true;  // it may be sent twice (RFC 9110, section 9.2.2)
};

// What all requests of a run have in common.
struct RequestFields {
  std::string host;   // of the Host field
  std::string lines;  // of further fields, each whole

  // The host of the URL, unless one of the fields ("Name: value") is a Host of one's own. UsageError for what is no
  // field, for a second Host, and for Content-Length and Transfer-Encoding, which tell of a body that is not theirs.
  RequestFields(const Url& url, const std::vector<std::string>& fields);
};

// Appends a request as it goes over the wire. `more` are whole lines; `body` gets its Content-Length.
void append_request(std::string& text, std::string_view method, std::string_view path, const RequestFields& fields,
                    std::string_view more, std::string_view body);

// All requests that a run may send, where they are known beforehand. Immutable while it runs; shared by workers.
class RequestTable {
 public:
  // A GET for each file of a workload; the URL's path is where the server keeps them. close: asks for no keep-alive.
  RequestTable(const Url& url, const RequestFields& fields, const Workload& workload, bool close);
  // One GET. expected_bytes: of the body, or one of the two constants.
  RequestTable(const Url& url, const RequestFields& fields, std::int64_t expected_bytes, bool close);
  RequestTable(const RequestTable&) = delete;
  RequestTable& operator=(const RequestTable&) = delete;

  const ClientRequest& operator[](std::uint32_t index) const { return requests_[index]; }
  std::uint32_t size() const { return static_cast<std::uint32_t>(requests_.size()); }

 private:
  std::string texts_;
  std::vector<ClientRequest> requests_;
};

// Draws the next request for a slot. One a worker. The reference is good until the slot has no request in flight
// any more.
class Source {
 public:
  virtual ~Source() = default;
  virtual const ClientRequest& next(std::uint32_t slot) = 0;
};

// Always the same one.
class SingleSource : public Source {
 public:
  explicit SingleSource(const RequestTable& requests) : request_(requests[0]) {}
  const ClientRequest& next(std::uint32_t) override { return request_; }

 private:
  const ClientRequest& request_;
};

// Each slot draws from the workload's popularity on a stream of its own, so that its requests do not depend on how fast
// the other slots are served.
class WorkloadSource : public Source {
 public:
  // first_slot: the number of this worker's first slot among all of the run's, for the streams' sake.
  WorkloadSource(const RequestTable& requests, const Workload& workload, std::uint64_t seed, std::uint32_t first_slot,
                 std::uint32_t slots);
  const ClientRequest& next(std::uint32_t slot) override { return requests_[sources_[slot].next()]; }

 private:
  const RequestTable& requests_;
  std::vector<RequestSource> sources_;
};

// A trace's requests in its order, by whichever slot is next; from its beginning again at its end. Of several workers
// each takes every `stride`-th from `first` on, so that together they send it once.
class TraceSource : public Source {
 public:
  TraceSource(const RequestTable& requests, const std::vector<std::uint32_t>& order, std::size_t first,
              std::size_t stride)
      : requests_(requests), order_(order), next_(first % order.size()), stride_(stride) {}
  const ClientRequest& next(std::uint32_t) override {
    const ClientRequest& request = requests_[order_[next_]];
    next_ = (next_ + stride_) % order_.size();
    return request;
  }

 private:
  const RequestTable& requests_;
  const std::vector<std::uint32_t>& order_;
  std::size_t next_;
  std::size_t stride_;
};

}  // namespace bakeoff
