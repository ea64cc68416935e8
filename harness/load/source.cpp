#include "harness/load/source.h"

#include "core/check.h"
#include "core/errors.h"

namespace bakeoff {

namespace {
std::string fields_of(const Url& url, bool close) {
  return "Host: " + url.authority + "\r\n" + (close ? "Connection: close\r\n" : "") + "\r\n";
}
}  // namespace

RequestTable::RequestTable(const Url& url, const Workload& workload, bool close) {
  const std::string fields = fields_of(url, close);
  // The URL's path is where the workload's files begin on the server.
  std::string prefix = url.path;
  while (!prefix.empty() && prefix.back() == '/') prefix.pop_back();
  for (const WorkloadFile& file : workload.files.files()) {
    Request request;
    request.expected_bytes = static_cast<std::int64_t>(file.size_bytes);
    request.class_index = file.class_index;
    request.content_seed = file.content_seed;
    request.has_content = true;
    add("GET", prefix + file.path, fields, request);
  }
  for (const FileClass& group : workload.classes) class_sizes_bytes_.push_back(static_cast<std::int64_t>(group.size_bytes));
  if (requests_.empty()) throw UsageError("workload " + workload.name + " has no files");
}

RequestTable::RequestTable(const Url& url, std::int64_t expected_bytes, bool close) {
  Request request;
  request.expected_bytes = expected_bytes;
  add("GET", url.path, fields_of(url, close), request);
  class_sizes_bytes_.push_back(expected_bytes);
}

void RequestTable::add(std::string_view method, std::string_view path, const std::string& fields, Request request) {
  request.text_offset = static_cast<std::uint32_t>(texts_.size());
  texts_.append(method).append(" ").append(path).append(" HTTP/1.1\r\n").append(fields);
  request.text_bytes = static_cast<std::uint32_t>(texts_.size()) - request.text_offset;
  BAKEOFF_CHECK(texts_.size() < UINT32_MAX);
  requests_.push_back(request);
}

WorkloadSource::WorkloadSource(const Workload& workload, std::uint64_t seed, std::uint32_t first_slot, std::uint32_t slots) {
  sources_.reserve(slots);
  for (std::uint32_t slot = 0; slot < slots; ++slot) sources_.push_back(workload.source(seed, first_slot + slot));
}

}  // namespace bakeoff
