// The descriptors that a server's workers hold. A process with its own table records nothing: the kernel closes what a
// dead process held. Where processes share one table (clone(CLONE_FILES), Pariag 2007, section 5.2), each records what
// it holds (shared_descriptor_table.h). The server chooses once, at its start.
#pragma once

#include <unistd.h>

#include <cstdint>

namespace bakeoff {

class CachedFile;

// Where a pin is kept. It lies in the connection, or in memory that survives the connection's process, so that a pin
// can be given back by somebody else.
struct PinSlot {
  CachedFile* file = nullptr;
};

class DescriptorTable {
 public:
  virtual ~DescriptorTable() = default;

  // A worker opens descriptors, and notes or closes them, inside a Window. Windows nest.
  class Window {
   public:
    explicit Window(DescriptorTable& table) : table_(table) { table_.enter(); }
    ~Window() { table_.leave(); }
    Window(const Window&) = delete;
    Window& operator=(const Window&) = delete;

   private:
    DescriptorTable& table_;
  };

  // This worker holds fd.
  virtual void note(int fd) = 0;
  // The cache table of that generation holds fd, on behalf of all workers. Called with the cache locked.
  virtual void note_cached(int fd, std::uint32_t generation) = 0;
  // Closes fd, which was noted.
  virtual void close(int fd) = 0;
  // Where the connection on fd keeps its pin: in `own`, or with the descriptor.
  virtual PinSlot& pin_of(int fd, PinSlot& own) = 0;

 private:
  virtual void enter() = 0;
  virtual void leave() = 0;
};

// Of one process, its threads included.
class PrivateDescriptorTable final : public DescriptorTable {
 public:
  void note(int) override {}
  void note_cached(int, std::uint32_t) override {}
  void close(int fd) override { ::close(fd); }
  PinSlot& pin_of(int, PinSlot& own) override { return own; }

 private:
  void enter() override {}
  void leave() override {}
};

}  // namespace bakeoff
