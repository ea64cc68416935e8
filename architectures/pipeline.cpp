// Pipeline: WatPipe's four stages (Pariag 2007, section 6).
//
//   who waits        stage 1, for clients; stage 2, for requests; stage 3, for space in sockets; a writer thread of
//                    stage 4, for the disk
//   what is shared   the address space: one cache, under a lock. A connection belongs to one stage at a time; a stage
//                    hands a batch of them to the next
//   what can block   a writer thread, for the disk. The other writers go on; when all of them wait, nobody gets a
//                    reply. Stage 3 sleeps while the writers send a batch, but does not wait for those at the disk
//   knobs            --workers (writer threads), --connections, --poller (select in the paper), --accept-limit
//
//            +----------+     +-------------+     +-----------------+  batch  +-------------+
//   clients  | 1 accept | ==> | 2 read with | ==> | 3 writable with | <=====> | 4 writers   |
//   =======> |          |     |   select    |     |     select      | in turn |  1 ... N    | ---> disk
//            +----------+     +-------------+     +-----------------+         +-------------+
//                                    ^                     |
//                                    +----- next request --+
#include <utility>
#include <vector>

#include "architectures/accepting_stage.h"
#include "architectures/timed_send.h"
#include "architectures/waiting_stage.h"
#include "core/connection.h"
#include "core/stages/stage_handover.h"
#include "core/workers/workers.h"

using namespace bakeoff;

namespace {

const Architecture architecture = {
    .name = "pipeline",
    .paper = "Pariag 2007, section 6",
    .workers_are = "writer threads of stage 4",
    .workers_most = 1024,
    .workers_default = 25,
    .pollers = {EventMechanism::select, EventMechanism::poll, EventMechanism::epoll},
    .bodies = all_bodies(),
    .sends = {Sending::nonblocking, Sending::blocking,
              Sending::timed},  // all wait for send-buffer space first, in stage 3
};

class Pipeline {
 public:
  explicit Pipeline(Server& server)
      : server_(server),
        to_read_(server.options().descriptors),
        to_write_(server.options().descriptors),
        accepting_(server, to_read_),
        writers_(most_items()) {}

  [[noreturn]] void stage1_accept(Worker& worker) { accepting_.run(worker); }

  [[noreturn]] void stage2_read(Worker& worker) {
    WaitingStage stage(server_, to_read_, Interest::read);
    const auto settle = [&](int fd, Want want) {
      if (want == Want::readable && stage.keep(at(fd), worker)) return;
      if (want == Want::timer) return stage.pause(at(fd));
      if (want == Want::writable || want == Want::disk)
        return stage.let_go(fd);  // a reply to write, or a name that stage 4 looks up on the disk
      stage.let_die(fd);
      end(fd);
    };
    for (;;) {
      stage.wait(
          worker, [&](int fd) { settle(fd, at(fd).prepare(worker)); },
          [&](int fd) {
            if (at(fd).is_drained(worker)) settle(fd, Want::close);
          });
      stage.arrived.for_each([&](int fd) { settle(fd, at(fd).has_input() ? at(fd).prepare(worker) : Want::readable); });
      stage.arrived.clear();
      stage.deadlines.expire(worker.clock.now_ms(), [&](int fd) { settle(fd, at(fd).expire(worker)); });
      AcceptingStage::hand_over(worker, stage.leaving, to_write_);
    }
  }

  [[noreturn]] void stage3_find_writable(Worker& worker) {
    WaitingStage stage(server_, to_write_, Interest::write);
    stage.poller->watch(writers_.fd(), Interest::read);
    std::vector<Item> batch;
    std::vector<Item> in_turn;
    std::vector<Item> written;
    for (auto* items : {&batch, &in_turn, &written}) items->reserve(most_items());
    DescriptorSet in_hand(server_.options().descriptors);  // connections that a writer has, which waits for the disk
    const auto expect = [&](int fd) {
      if (at(fd).wants_disk()) {
        batch.push_back({fd, Want::disk});  // no socket has to be ready for that
      } else if (!stage.keep(at(fd), worker)) {
        stage.let_die(fd);
        end(fd);
      }
    };
    const auto settle = [&] {
      for (const auto& [fd, want] : written) {
        in_hand.erase(fd);
        if (want == Want::writable || want == Want::disk) {
          expect(fd);
        } else if (want == Want::readable) {
          stage.let_go(fd);
        } else {
          stage.let_die(fd);
          end(fd);
        }
      }
    };
    for (;;) {
      bool late = false;
      stage.wait(
          worker,
          [&](int fd) {
            if (fd == writers_.fd()) {
              late = true;
            } else {
              batch.push_back({fd, Want::writable});
            }
          },
          [](int) {});
      if (late) {
        writers_.take_late(written);
        settle();
      }
      stage.arrived.for_each(expect);
      stage.arrived.clear();
      while (!batch.empty()) {
        for (const Item& item : batch) in_hand.insert(item.fd);
        in_turn.clear();
        in_turn.swap(batch);
        worker.rest([&] { writers_.run(in_turn, written); });
        settle();
        in_hand.for_each([&](int fd) { stage.release(fd); });
      }
      stage.deadlines.expire(worker.clock.now_ms(), [&](int fd) {
        at(fd).expire(worker);  // a reader that takes nothing: there is no answer to that
        stage.let_die(fd);
        end(fd);
      });
      AcceptingStage::hand_over(worker, stage.leaving, to_read_);
    }
  }

  [[noreturn]] void stage4_write(Worker& worker) {
    const bool timed = server_.options().send == Sending::timed;
    writers_.work([&](Item& item) {
      worker.clock.refresh();
      Connection& connection = at(item.fd);
      const auto write = [&] { return connection.transmit(worker); };
      item.want = item.want == Want::disk ? connection.wait_for_disk(worker).value_or(Want::writable)
                  : timed                 ? send_timed(connection, worker, write)
                                          : write();
    });
  }

 private:
  struct Item {
    int fd;
    Want want;  // before stage 4: writable or disk; after it: what the connection wants next
  };

  std::size_t most_items() const { return static_cast<std::size_t>(server_.options().descriptors); }
  Connection& at(int fd) { return accepting_.at(fd); }
  void end(int fd) { accepting_.end(fd); }

  Server& server_;
  StageInbox to_read_;
  StageInbox to_write_;
  AcceptingStage accepting_;
  TurnPool<Item> writers_;
};

void serve(Server& server) {
  Pipeline pipeline(server);
  run_threads(server, 3 + server.options().workers, [&](Worker& worker, int number) {
    constexpr const char* stages[] = {"stage 1, accept", "stage 2, read", "stage 3, find writable"};
    number < 3 ? worker.be_called(stages[number]) : worker.be_called("writer", number - 2);
    switch (number) {
      case 0: pipeline.stage1_accept(worker);
      case 1: pipeline.stage2_read(worker);
      case 2: pipeline.stage3_find_writable(worker);
      default: pipeline.stage4_write(worker);
    }
  });
}

}  // namespace

int main(int argc, char** argv) { return server_main(argc, argv, architecture, Sharing::threads, serve); }
