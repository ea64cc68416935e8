// A disk that blocks on command: while names are held back, whoever opens a file of such a name waits in the call, and
// nobody else does. By fanotify's permission events, which root alone may ask for.
#pragma once

#include <filesystem>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace bakeoff::test {

class HeldDisk {
 public:
  // Whether this process may; if not, says why on standard error.
  static bool is_possible();

  // Watches the files that lie in `directory` itself. Throws std::runtime_error.
  explicit HeldDisk(const std::filesystem::path& directory);
  ~HeldDisk();  // lets everybody go
  HeldDisk(const HeldDisk&) = delete;
  HeldDisk& operator=(const HeldDisk&) = delete;

  // From now on files whose names begin so are held back.
  void hold(const std::string& prefix);
  // Lets all go that wait, and holds no more.
  void release();
  // How many wait now.
  std::size_t waiting() const;

 private:
  void answer();
  void allow(int event_fd);

  int fd_;
  int stop_fd_;
  mutable std::mutex mutex_;
  std::string prefix_;        // empty: nothing is held back
  std::vector<int> waiting_;  // the events' descriptors
  std::thread thread_;
};

}  // namespace bakeoff::test
