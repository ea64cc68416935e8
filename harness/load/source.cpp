#include "harness/load/source.h"

#include "core/base/errors.h"

namespace bakeoff {

void append_request(std::string& text, std::string_view method, std::string_view path, const Url& url, std::string_view fields, std::string_view body) {
  text.append(method).append(" ").append(path).append(" HTTP/1.1\r\nHost: ").append(url.authority).append("\r\n").append(fields);
  if (!body.empty()) text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
  text.append("\r\n").append(body);
}

namespace {

constexpr std::string_view close_field = "Connection: close\r\n";

// Texts move while the string grows, so they are pointed at only when all are there.
void point_at_texts(std::vector<Request>& requests, const std::string& texts) {
  std::size_t at = 0;
  for (Request& request : requests) {
    request.text = texts.data() + at;
    at += request.text_bytes;
  }
}

}  // namespace

RequestTable::RequestTable(const Url& url, const Workload& workload, bool close) {
  if (workload.files.size() == 0) throw UsageError("workload " + workload.name + " has no files");
  std::string prefix = url.path;
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  for (const WorkloadFile& file : workload.files.files()) {
    Request request;
    const std::size_t start = texts_.size();
    append_request(texts_, "GET", prefix + file.path, url, close ? close_field : "", "");
    request.text_bytes = static_cast<std::uint32_t>(texts_.size() - start);
    request.expected_bytes = static_cast<std::int64_t>(file.size_bytes);
    request.class_index = file.class_index;
    request.content_seed = file.content_seed;
    request.has_content = true;
    requests_.push_back(request);
  }
  point_at_texts(requests_, texts_);
}

RequestTable::RequestTable(const Url& url, std::int64_t expected_bytes, bool close) {
  append_request(texts_, "GET", url.path, url, close ? close_field : "", "");
  Request request;
  request.text_bytes = static_cast<std::uint32_t>(texts_.size());
  request.expected_bytes = expected_bytes;
  requests_.push_back(request);
  point_at_texts(requests_, texts_);
}

WorkloadSource::WorkloadSource(const RequestTable& requests, const Workload& workload, std::uint64_t seed, std::uint32_t first_slot, std::uint32_t slots)
    : requests_(requests) {
  sources_.reserve(slots);
  for (std::uint32_t slot = 0; slot < slots; ++slot) sources_.push_back(workload.source(seed, first_slot + slot));
}

}  // namespace bakeoff
