import { ageOf, say } from "../words.js";
import { Listing } from "./listing.js";
import { showPerson, showTags } from "./show.js";

/** Everyone who has an account. */
class People extends Listing {
  event = "user:list";
  key = "users";
  row = "person-row";

  query() {
    const query = this.input.value.trim();
    return query ? { query } : {};
  }

  wants({ text }) {
    return /^a user (connected|disconnected|was )/.test(text);
  }

  fill(row, user) {
    const { staff, active, online, banned, last_seen } = user;
    row.subject = { user, banned };
    showPerson(row.querySelector(".who"), user);
    const tags = [
      online && [say("person_online"), "good"],
      staff && [say("staff")],
      banned && [say("banned"), "danger"],
      !active && [say("off"), "danger"],
    ];
    showTags(row.querySelector(".tags"), tags.filter(Boolean));
    const seen = last_seen ? say("seen", { time: ageOf(last_seen) }) : say("never");
    row.querySelector(".when").textContent = online ? "" : seen;
  }
}

customElements.define("console-people", People);
