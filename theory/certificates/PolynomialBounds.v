(* Polynomial inequalities between non-negative numbers of an ordered field, decided by a computation that is proved
   sound.

   A polynomial is a sum of integers times monomials ([pol]); [evp] is its value in a field R.  [decide] looks for a
   reason why it is >= 0 where all variables are >= 0 and some of them <= 1: no negative coefficient; negative terms
   that the constant outweighs; variables that only help or only harm, put at their ends; partial sums by the powers of
   a variable; halves of a variable's range.  [bound_sound] says: if [bound] finds one, then the inequality holds for
   all numbers that satisfy the hypotheses used (ranges, definitions, and a relation u = c - v). *)
From Coq Require Import ZArith NArith Lia.
From mathcomp Require Import all_ssreflect all_algebra.
Require Import WordCalculus.
Set Implicit Arguments.
Unset Strict Implicit.
Unset Printing Implicit Defensive.
Import GRing.Theory Num.Theory Order.Theory.
Delimit Scope Z_scope with coqZ.
Local Open Scope ring_scope.
Local Opaque zr.

(* ---- data: variables are numbered, a monomial is the list of its exponents ---- *)

Notation mono := (seq nat).
Notation pterm := (Z * seq nat)%type.
Notation pol := (seq (Z * seq nat)).

Inductive pexpr :=
  | PVar of nat
  | PNum of Z
  | PAdd of pexpr & pexpr
  | POpp of pexpr
  | PMul of pexpr & pexpr
  | PPow of pexpr & nat
  | PInv of pexpr.

Definition get (v : nat) (m : mono) : nat := nth 0%N m v.
Fixpoint single (v e : nat) : mono := if v is v'.+1 then 0%N :: single v' e else [:: e].
Fixpoint without (v : nat) (m : mono) : mono :=
  match m, v with [::], _ => [::] | _ :: m', 0%N => 0%N :: m' | e :: m', v'.+1 => e :: without v' m' end.
Fixpoint lessen (v : nat) (m : mono) : mono :=
  match m, v with [::], _ => [::] | e :: m', 0%N => e.-1 :: m' | e :: m', v'.+1 => e :: lessen v' m' end.
Fixpoint mulm (m n : mono) : mono :=
  match m, n with [::], _ => n | _, [::] => m | a :: m', b :: n' => (a + b)%N :: mulm m' n' end.
Definition zerom (m : mono) : bool := all (fun e => e == 0%N) m.
Fixpoint compare (m n : mono) : comparison :=
  match m, n with
  | [::], _ => if zerom n then Eq else Lt
  | _, [::] => if zerom m then Eq else Gt
  | a :: m', b :: n' => match Nat.compare a b with Eq => compare m' n' | c => c end
  end.

Definition mult (s t : pterm) : pterm := (Z.mul s.1 t.1, mulm s.2 t.2).
Definition one : pterm := (Zpos xH, [::]).
Definition num (c : Z) : pterm := (c, [::]).
Definition lin (v : nat) (c : Z) : pterm := (c, single v 1).
Definition scale (s : pterm) (p : pol) : pol := map (mult s) p.

Fixpoint addp (p : pol) : pol -> pol :=
  fix add2 (q : pol) :=
    match p, q with
    | [::], _ => q
    | _, [::] => p
    | (c, m) :: p', (d, n) :: q' =>
        match compare m n with
        | Eq => let e := Z.add c d in if Z.eqb e 0 then addp p' q' else (e, m) :: addp p' q'
        | Lt => (c, m) :: addp p' q
        | Gt => (d, n) :: add2 q'
        end
    end.
Definition sortp (p : pol) : pol := foldr (fun t => addp [:: t]) [::] p.
Definition mulp (p q : pol) : pol := foldr (fun t => addp (scale t q)) [::] p.

(* q/d in the place of the h-th power of a variable; the whole times a power of d *)
Definition degree (v h : nat) (p : pol) : nat := foldr (fun t : pterm => maxn (get v t.2 %/ h)) 0%N p.
Definition table (q : pol) (d : pterm) (n : nat) : seq pol :=
  let qs := traject (mulp q) [:: one] n.+1 in
  let ds := traject (mult d) one n.+1 in
  [seq scale (nth one ds (n - a)) (nth [:: one] qs a) | a <- iota 0 n.+1].
Definition put (v h : nat) (powers : seq pol) (t : pterm) : pol :=
  let e := get v t.2 in scale (t.1, mulm (without v t.2) (single v (e %% h))) (nth [::] powers (e %/ h)).
Definition elim (v h : nat) (q : pol) (d : pterm) (p : pol) : pol :=
  let powers := table q d (degree v h p) in foldr (fun t => addp (put v h powers t)) [::] p.

Definition DEGREE : nat := 200. (* exponents are smaller *)

Section Decide.

Variable size : nat.          (* how many variables *)
Variable top : nat -> bool.   (* those that are at most 1 *)

Definition has (v : nat) (t : pterm) : bool := get v t.2 != 0%N.
Definition plus (t : pterm) : bool := Z.leb 0 t.1.
Fixpoint topm (i : nat) (m : mono) : bool :=
  match m with [::] => true | e :: m' => ((e == 0%N) || top i) && topm i.+1 m' end.

Definition less (v : nat) (t : pterm) : pterm := (t.1, lessen v t.2).
(* without a common power of a variable *)
Fixpoint strip (n v : nat) (p : pol) : pol :=
  match n with 0%N => p | n'.+1 => if all (has v) p then strip n' v (map (less v) p) else p end.

(* a variable 0 in terms that are >= 0, and 1 in the others *)
Fixpoint lower (v : nat) (p : pol) : pol :=
  match p with
  | [::] => [::]
  | t :: p' => if ~~ has v t then t :: lower v p' else if plus t then lower v p' else (t.1, without v t.2) :: lower v p'
  end.

Definition simpler (v : nat) (c : bool * pol) : bool * pol :=
  let p1 := filter (has v) c.2 in
  if seq.nilp p1 then c
  else if all (has v) c.2 then (true, strip DEGREE v c.2)
  else if all plus p1 || (top v && all (fun t => ~~ plus t) p1) then (true, sortp (lower v c.2))
  else c.

(* the value where every variable is 0 in terms that are >= 0, and 1 in the others; the value at all ones *)
Definition least (p : pol) : Z :=
  foldr (fun (t : pterm) s => if plus t && ~~ zerom t.2 then s else Z.add t.1 s) Z0 p.
Definition at_ones (p : pol) : Z := foldr (fun t : pterm => Z.add t.1) Z0 p.

(* the variable whose negative terms weigh most *)
Definition weight (v : nat) (p : pol) : Z :=
  foldr (fun (t : pterm) s => if has v t && ~~ plus t then Z.sub s t.1 else s) Z0 p.
Definition heavier (p : pol) (v : nat) (best : nat * (bool * Z)) : nat * (bool * Z) :=
  let w := weight v p in
  let free := ~~ top v in
  if Z.ltb 0 w && (if free == best.2.1 then Z.ltb best.2.2 w else free) then (v, (free, w)) else best.
Definition pick (p : pol) : nat := (foldr (heavier p) (0%N, (false, Z0)) (iota 0 size)).1.

(* sums of the coefficients of 1, v, v^2, ... (one by one where v has no end) *)
Fixpoint sums (dec : N -> pol -> bool * N) (v n : nat) (budget : N) (sum p : pol) : bool * N :=
  match n with
  | 0%N => (seq.nilp p, budget)
  | n'.+1 =>
      if seq.nilp p then (true, budget) else
      let here := filter (fun t => ~~ has v t) p in
      let rest := map (less v) (filter (has v) p) in
      if seq.nilp here then sums dec v n' budget sum rest
      else
        let sum' := addp here sum in
        let (yes, left) := dec budget sum' in
        if yes then sums dec v n' left (if top v then sum' else [::]) rest else (false, left)
  end.

Definition half (v : nat) (upper : bool) (p : pol) : pol :=
  elim v 1 (if upper then [:: one; lin v 1] else [:: lin v 1]) (num 2) p.

Fixpoint decide (n splits : nat) (budget : N) (p : pol) : bool * N :=
  match n, budget with
  | 0%N, _ | _, N0 => (false, budget)
  | n'.+1, Npos _ =>
      let left := N.pred budget in
      let (changed, q) := foldr simpler (false, p) (iota 0 size) in
      if changed then decide n' splits left q
      else if all (fun t => plus t || topm 0 t.2) q && Z.leb 0 (least q) then (true, left)
      else if all (fun t => topm 0 t.2) q && Z.ltb (at_ones q) 0 then (false, left)
      else
        let v := pick q in
        let (yes, left) := sums (decide n' 0) v DEGREE left [::] q in
        if yes then (true, left)
        else
          match splits with
          | 0%N => (false, left)
          | S s =>
              if top v then
                let (yes, left) := decide n' s left (half v false q) in
                if yes then decide n' s left (half v true q) else (false, left)
              else (false, left)
          end
  end.

End Decide.

(* how far is searched: recursions, halvings of a range, nodes altogether; halvings of a range cut by a relation *)
Definition FUEL : nat := 400.
Definition SPLITS : nat := 6.
Definition BUDGET : N := 1000.
Definition PIECES : nat := 6.


Section Bound.

Variable size : nat.
Variable positives : seq nat.                (* variables that are not 0 *)
Variable tops : seq (nat * (Z * Z)).         (* v <= n/d *)
Variable defs : seq (nat * nat * pexpr).     (* v ^ h = e; later ones may use earlier ones *)
Variable links : seq (nat * nat * (Z * Z)).  (* u = n/d - v *)

Definition posm (m : mono) : bool := all (fun v => (get v m == 0%N) || (v \in positives)) (iota 0 (seq.size m)).

(* a common multiple of terms, and what it is a multiple by *)
Definition common (s t : pterm) : pterm :=
  (Z.lcm s.1 t.1, [seq maxn (get v s.2) (get v t.2) | v <- iota 0 (maxn (seq.size s.2) (seq.size t.2))]).
Definition over (l s : pterm) : pterm := (Z.div l.1 s.1, [seq (get v l.2 - get v s.2)%N | v <- iota 0 (seq.size l.2)]).
Definition same (s t : pterm) : bool := Z.eqb s.1 t.1 && (if compare s.2 t.2 is Eq then true else false).
Definition is_positive (t : pterm) : bool := Z.ltb 0 t.1 && posm t.2.

(* numerator, and denominator: a term that is > 0 *)
Fixpoint nf (e : pexpr) : option (pol * pterm) :=
  match e with
  | PVar v => Some ([:: lin v 1], one)
  | PNum c => Some (if Z.eqb c 0 then [::] else [:: num c], one)
  | PAdd e f =>
      match nf e, nf f with
      | Some (p, s), Some (q, t) =>
          let l := common s t in
          if same (mult (over l s) s) l && same (mult (over l t) t) l && is_positive l
          then Some (addp (scale (over l s) p) (scale (over l t) q), l) else None
      | _, _ => None
      end
  | POpp e => match nf e with Some (p, s) => Some (scale (num (-1)) p, s) | None => None end
  | PMul e f => match nf e, nf f with Some (p, s), Some (q, t) => Some (mulp p q, mult s t) | _, _ => None end
  | PPow e n => match nf e with Some (p, s) => Some (iter n (mulp p) [:: one], iter n (mult s) one) | None => None end
  | PInv e => match nf e with Some ([:: t], s) => if is_positive t then Some ([:: s], t) else None | _ => None end
  end.

Definition defined (d : nat * nat * pexpr) (p : option pol) : option pol :=
  match p, nf d.2 with
  | Some p, Some (q, s) => if (0 < d.1.2)%N then Some (elim d.1.1 d.1.2 q s p) else None
  | _, _ => None
  end.

(* variables in [0, n/d], written as n/d times one in [0, 1] *)
Definition proper (b : nat * (Z * Z)) : bool := Z.ltb 0 b.2.1 && Z.ltb 0 b.2.2.
Definition shrink (b : nat * (Z * Z)) (p : pol) : pol := elim b.1 1 [:: lin b.1 b.2.1] (num b.2.2) p.
Definition decided (bs : seq (nat * (Z * Z))) (p : pol) : bool :=
  (decide size (fun v => v \in map fst tops) FUEL SPLITS BUDGET (foldr shrink p bs)).1.

(* with u = n/d - v: in its place; or v in [j/N, (j + 1)/N] n/d, where u <= (N - j)/N n/d, and halves of that *)
Definition replaced (k : nat * nat * (Z * Z)) (p : pol) : pol :=
  let: (u, v, (n, d)) := k in elim u 1 [:: num n; lin v (Z.opp d)] (num d) p.
Definition piece (k : nat * nat * (Z * Z)) (p : pol) (j N : Z) : pol :=
  let: (u, v, (n, d)) := k in
  let w := num (Z.mul N d) in
  elim u 1 [:: lin u (Z.mul n (Z.sub N j))] w
    (elim v 1 (if Z.eqb j 0 then [:: lin v n] else [:: num (Z.mul j n); lin v n]) w p).
Fixpoint on_pieces (k : nat * nat * (Z * Z)) (bs : seq (nat * (Z * Z))) (p : pol) (halvings : nat) (j N : Z) : bool :=
  if decided bs (piece k p j N) then true
  else
    match halvings with
    | 0%N => false
    | S h =>
        if on_pieces k bs p h (Z.mul 2 j) (Z.mul 2 N)
        then on_pieces k bs p h (Z.succ (Z.mul 2 j)) (Z.mul 2 N) else false
    end.
Fixpoint linked (p : pol) (ks : seq (nat * nat * (Z * Z))) : bool :=
  match ks with
  | [::] => false
  | (u, v, b) :: ks' =>
      if decided tops (replaced (u, v, b) p) then true
      else if on_pieces (u, v, b) [seq b <- tops | (b.1 != u) && (b.1 != v)] p PIECES 0 1 then true
      else linked p ks'
  end.

Definition small (p : pol) : bool := all (fun t : pterm => zerom (drop size t.2)) p.
Definition well_formed : bool :=
  [&& all (fun b : nat * (Z * Z) => proper b && (b.1 < size)%N) tops, uniq (map fst tops)
    & all (fun k : nat * nat * (Z * Z) =>
      [&& proper (k.1.1, k.2), k.1.1 != k.1.2, k.1.1 < size & k.1.2 < size]%N) links].
Definition bound (l r : pexpr) : bool :=
  if nf (PAdd r (POpp l)) is Some (p, _) then
    if foldr defined (Some p) (defs ++ defs) is Some q then
      if small q && well_formed then (if decided tops q then true else linked q links) else false
    else false
  else false.

End Bound.

(* ---- values ---- *)

Section Values.

Variable R : realFieldType.
Implicit Types (x y : nat -> R) (m : mono) (t s : pterm) (p q : pol).

Fixpoint evm x (i : nat) m : R := if m is e :: m' then x i ^+ e * evm x i.+1 m' else 1.
Definition evt x t : R := zr R t.1 * evm x 0 t.2.
Fixpoint evp x p : R := if p is t :: p' then evt x t + evp x p' else 0.

Fixpoint ev x (e : pexpr) : R :=
  match e with
  | PVar v => x v
  | PNum c => zr R c
  | PAdd e f => ev x e + ev x f
  | POpp e => - ev x e
  | PMul e f => ev x e * ev x f
  | PPow e n => ev x e ^+ n
  | PInv e => (ev x e)^-1
  end.

Lemma zr_ge0 c : Z.leb 0 c -> 0 <= zr R c.
Proof. by move/Z.leb_le=> h; rewrite -(Z2Nat.id c h) zr_nat ler0n. Qed.
Lemma zr_gt0 c : Z.ltb 0 c -> 0 < zr R c.
Proof.
move/Z.ltb_lt=> h; rewrite -(Z2Nat.id c); last by apply: Z.lt_le_incl.
by rewrite zr_nat ltr0n; apply/ssrnat.ltP; lia.
Qed.
Lemma zr_lt0 c : Z.leb 0 c = false -> zr R c < 0.
Proof.
move=> h; rewrite -[c]Z.opp_involutive zrN oppr_lt0; apply: zr_gt0.
by move/Z.leb_gt: h => h; apply/Z.ltb_lt; lia.
Qed.

Lemma evm_get x i m v : evm x i m = x (i + v)%N ^+ get v m * evm x i (without v m).
Proof.
elim: m v i => [|e m IH] [|v] i /=; rewrite ?addn0 ?expr0 ?mul1r //.
by rewrite (IH v) addSnnS /get /= mulrCA.
Qed.
Lemma evm_single x i v e : evm x i (single v e) = x (i + v)%N ^+ e.
Proof. by elim: v i => [|v IH] i /=; rewrite ?addn0 ?mulr1 // expr0 mul1r IH addSnnS. Qed.
Lemma evm_mul x i m n : evm x i (mulm m n) = evm x i m * evm x i n.
Proof. by elim: m n i => [|a m IH] [|b n] i /=; rewrite ?mul1r ?mulr1 // IH exprD mulrACA. Qed.
Lemma evm_zero x i m : zerom m -> evm x i m = 1.
Proof. by elim: m i => [|e m IH] i //= /andP[/eqP-> /IH->]; rewrite mul1r. Qed.
Lemma evm_lessen x i v m : get v m != 0%N -> evm x i m = x (i + v)%N * evm x i (lessen v m).
Proof.
elim: m v i => [|e m IH] [|v] i //= h.
  by rewrite addn0 mulrA -exprS prednK // lt0n.
by rewrite (IH v) // addSnnS mulrCA.
Qed.
Lemma evm_change x y i v m : (forall j, j != (i + v)%N -> y j = x j) -> evm y i (without v m) = evm x i (without v m).
Proof.
have same k n : (forall j, (k <= j)%N -> y j = x j) -> evm y k n = evm x k n.
  by elim: n k => [|e n IH] k //= h; rewrite h // IH // => j /ltnW/h.
elim: m v i => [|e m IH] [|v] i h //=.
  by rewrite same // => j ij; apply: h; rewrite addn0 gtn_eqF.
rewrite h ?IH //; first by rewrite addSnnS.
by rewrite -[X in X != _]addn0 eqn_add2l.
Qed.
Lemma compare_eq x i m n : compare m n = Eq -> evm x i m = evm x i n.
Proof.
elim: m n i => [|a m IH] [|b n] i //=.
- by case h: (_ && _) => // _; rewrite -/(evm x i (b :: n)) (@evm_zero x i (b :: n)).
- by case h: (_ && _) => // _; rewrite -/(evm x i (a :: m)) (@evm_zero x i (a :: m)).
by case E: (Nat.compare a b) => // /IH->; rewrite (proj1 (PeanoNat.Nat.compare_eq_iff _ _) E).
Qed.

Lemma evt_mult x s t : evt x (mult s t) = evt x s * evt x t.
Proof. by rewrite /evt /= zrM evm_mul mulrACA. Qed.
Lemma evt_one x : evt x one = 1.
Proof. by rewrite /evt /= mulr1 zr1. Qed.
Lemma evt_num x c : evt x (num c) = zr R c.
Proof. by rewrite /evt /= mulr1. Qed.
Lemma evt_lin x v c : evt x (lin v c) = zr R c * x v.
Proof. by rewrite /evt /= evm_single add0n expr1. Qed.
Lemma evp_scale x s p : evp x (scale s p) = evt x s * evp x p.
Proof. by elim: p => [|t p IH] /=; rewrite ?mulr0 // evt_mult mulrDr IH. Qed.
Lemma evp_add x p q : evp x (addp p q) = evp x p + evp x q.
Proof.
elim: p q => [|[c m] p IHp] q; first by case: q => [|u q] /=; rewrite add0r.
elim: q => [|[d n] q IHq]; first by rewrite /= addr0.
rewrite [addp _ _]/=; case E: (compare m n).
- have e : evt x (c, m) + evt x (d, n) = evt x (Z.add c d, m).
    by rewrite /evt /= -(compare_eq x 0 E) zrD [RHS]mulrDl.
  rewrite [RHS]/= addrACA e.
  case: Z.eqb_spec => [z|_]; rewrite /= IHp; by rewrite ?{1}/evt /= ?z ?zr0 ?mul0r ?add0r.
- by rewrite /= IHp addrA.
- by rewrite [LHS]/= IHq /= addrCA.
Qed.
Lemma evp_sort x p : evp x (sortp p) = evp x p.
Proof. by elim: p => // t p IH; rewrite -[sortp _]/(addp [:: t] (sortp p)) evp_add IH /= addr0. Qed.
Lemma evp_mul x p q : evp x (mulp p q) = evp x p * evp x q.
Proof.
elim: p => [|t p IH]; first by rewrite mul0r.
by rewrite -[mulp _ _]/(addp (scale t q) (mulp p q)) evp_add evp_scale IH -mulrDl.
Qed.

Arguments addp : simpl never.
Arguments mulp : simpl never.
Arguments sortp : simpl never.
Arguments scale : simpl never.
Arguments mult : simpl never.

Lemma table_E x q s (n a : nat) : (a <= n)%N -> evp x (nth [::] (table q s n) a) = evt x s ^+ (n - a) * evp x q ^+ a.
Proof.
move=> le; rewrite /table (nth_map 0%N) ?size_iota // nth_iota // add0n evp_scale.
rewrite nth_traject ?ltnS ?leq_subr // nth_traject ?ltnS //.
congr (_ * _).
  by elim: (n - a)%N => [|k IH]; [rewrite expr0 /= /evt /= zr1 mulr1 | rewrite iterS evt_mult IH exprS].
by elim: a {le} => [|k IH]; [rewrite expr0 /= /evt /= zr1 mulr1 addr0 | rewrite iterS evp_mul IH exprS].
Qed.

Lemma evp_elim x y (v h : nat) q s p : (0 < h)%N -> evt y s * x v ^+ h = evp y q -> (forall j, j != v -> y j = x j) ->
  h = 1%N \/ y v = x v -> evp y (elim v h q s p) = evt y s ^+ degree v h p * evp x p.
Proof.
move=> h0 e other same; rewrite /elim; set n := degree v h p.
have : all (fun t => get v t.2 %/ h <= n)%N p.
  rewrite /n; elim: (p) => [|u r IH] //=; rewrite leq_maxl; apply: sub_all IH => t /leq_trans; apply; exact: leq_maxr.
elim: (p) => [|t r IH] /=; first by rewrite mulr0.
case/andP=> le /IH{}IH; rewrite evp_add {}IH mulrDr; congr (_ + _); rewrite /put evp_scale table_E // -e {e}.
rewrite [evt y (_, _)]/evt [evt x t]/evt /= evm_mul evm_single add0n (@evm_change x y 0 v) ?add0n //.
rewrite (evm_get x 0 t.2 v) add0n.
move: (get v t.2) (evm x 0 _) (evt y s) le => a w d le.
have -> : y v ^+ (a %% h) = x v ^+ (a %% h) by case: same => [->|->] //; rewrite modn1 !expr0.
have -> : x v ^+ a = (x v ^+ h) ^+ (a %/ h) * x v ^+ (a %% h) by rewrite -exprM -exprD mulnC -divn_eq.
have -> : d ^+ n = d ^+ (n - a %/ h) * d ^+ (a %/ h) by rewrite -exprD subnK.
rewrite exprMn; move: (d ^+ (n - _)) (d ^+ (a %/ h)) ((x v ^+ _) ^+ _) (x v ^+ _) (zr R _) => A B C F c.
by rewrite [w * F]mulrC -[C * F * w]mulrA [A * (B * C)]mulrA [LHS]mulrC -[LHS]mulrA [C * (c * _)]mulrCA.
Qed.

(* ---- the search is sound ---- *)

Section Box.
Variables (size : nat) (top : nat -> bool).
Definition inside x : Prop := forall v, 0 <= x v /\ (top v -> x v <= 1).

Lemma evm_ge0 x i m : inside x -> 0 <= evm x i m.
Proof. by move=> h; elim: m i => [|e m IH] i //=; rewrite ?ler01 // mulr_ge0 // exprn_ge0 //; case: (h i). Qed.
Lemma evm_le1 x i m : inside x -> topm top i m -> evm x i m <= 1.
Proof.
move=> h; elim: m i => [|e m IH] i //= /andP[t /IH le]; rewrite mulr_ile1 ?evm_ge0 //.
  by rewrite exprn_ge0 //; case: (h i).
case/orP: t => [/eqP->|t]; first by rewrite expr0.
by case: (h i) => ge /(_ t) le'; rewrite exprn_ile1.
Qed.
Lemma evt_less x v t : has v t -> evt x t = x v * evt x (less v t).
Proof. by move=> h; rewrite /evt /= (evm_lessen x 0 h) add0n mulrCA. Qed.
Lemma evp_less x v p : all (has v) p -> evp x p = x v * evp x (map (less v) p).
Proof. by elim: p => [|t p IH] /=; rewrite ?mulr0 // => /andP[h /IH->]; rewrite (evt_less x h) mulrDr. Qed.
Lemma evp_parts x v p :
  evp x p = evp x (filter (fun t => ~~ has v t) p) + x v * evp x (map (less v) (filter (has v) p)).
Proof.
elim: p => [|t p IH] /=; first by rewrite mulr0 addr0.
case h: (has v t); rewrite /= IH; last by rewrite addrA.
by rewrite (evt_less x h) mulrDr addrCA.
Qed.
Lemma strip_le x n v p : inside x -> 0 <= evp x (strip n v p) -> 0 <= evp x p.
Proof.
move=> hx; elim: n p => [|n IH] p //=; case: ifP => // h /IH.
by rewrite (evp_less x h) => h'; rewrite mulr_ge0 //; case: (hx v).
Qed.
Lemma lower_le x v p : inside x -> top v || all plus (filter (has v) p) -> evp x (lower v p) <= evp x p.
Proof.
move=> hx; elim: p => [|t p IH] //= h.
have {}IH : evp x (lower v p) <= evp x p.
  by apply: IH; case/orP: h => [->|] //; case: ifP => _ /=; [case/andP=> _ -> | move->]; rewrite orbT.
case: ifP => [_|]; first by rewrite /= ler_add2l.
move/negbFE=> ht; move: h; rewrite ht /= => h; case: ifP => [ht'|ht'] /=.
  by rewrite -[evp x (lower v p)]add0r ler_add // /evt mulr_ge0 ?evm_ge0 // zr_ge0.
rewrite ler_add // /evt /= (evm_get x 0 t.2 v) add0n; apply: ler_wnmul2l; first by apply/ltW/zr_lt0.
have tv : top v by move: h; rewrite ht' /= orbF.
by rewrite ler_pimull ?evm_ge0 // exprn_ile1 //; case: (hx v) => // _; apply.
Qed.
Lemma simpler_le x v c : inside x -> 0 <= evp x (simpler top v c).2 -> 0 <= evp x c.2.
Proof.
move=> hx; rewrite /simpler; case: ifP => // _; case: ifP => [_|_]; first exact: strip_le.
case: ifP => // h; rewrite /= evp_sort => /le_trans; apply; apply: lower_le => //.
by case/orP: h => [->|/andP[-> _]]; rewrite ?orbT.
Qed.
Lemma least_le x p : inside x -> all (fun t => plus t || topm top 0 t.2) p -> zr R (least p) <= evp x p.
Proof.
move=> hx; elim: p => [|t p IH] /=; first by rewrite zr0.
case/andP=> h /IH{}IH; case: ifP => [/andP[ht _]|ht].
  by rewrite -[zr R _]add0r ler_add // /evt mulr_ge0 ?evm_ge0 ?zr_ge0.
rewrite zrD ler_add //; move: h ht; case E: (plus t) => /=; first by move=> _ /negbFE z; rewrite /evt evm_zero ?mulr1.
move=> h _.
by rewrite /evt ler_nimulr ?evm_le1 //; apply/ltW/zr_lt0.
Qed.

Lemma sums_sound (dec : N -> pol -> bool * N) x v n budget sum p : inside x ->
  (forall b q, (dec b q).1 -> 0 <= evp x q) ->
  (sums top dec v n budget sum p).1 -> 0 <= evp x sum -> (top v \/ sum = [::]) -> 0 <= evp x sum + evp x p.
Proof.
move=> hx hdec; elim: n budget sum p => [|n IH] budget sum p /=.
  by case: p => //= _ h _; rewrite addr0.
case E: (seq.nilp p); first by move/nilP: E => -> _ h _; rewrite addr0.
rewrite [evp x p](evp_parts x v); set here := filter _ p; set rest := map _ _.
have [xv xt] := hx v.
have half a b : top v -> 0 <= a -> 0 <= a + b -> 0 <= a + x v * b.
  move=> /xt le ha hab; have -> : a + x v * b = (1 - x v) * a + x v * (a + b).
    by rewrite mulrBl mul1r mulrDr addrA subrK.
  by rewrite addr_ge0 // mulr_ge0 // subr_ge0.
case H: (seq.nilp here).
  move/nilP: H => ->; rewrite /= add0r => /IH{}IH hsum [tv|e]; first by apply: half => //; apply: IH => //; left.
  by subst sum; rewrite add0r mulr_ge0 //; have := IH hsum; rewrite /= add0r; apply; right.
case D: (dec _ _) => [yes left] /=; case: yes D => // D /IH{}IH hsum htop.
have := hdec budget (addp here sum); rewrite D => /(_ isT); rewrite evp_add [_ + evp x sum]addrC => h.
rewrite addrA; case tv: (top v) IH htop => IH htop.
  apply: half => //; have := IH; rewrite evp_add [_ + evp x sum]addrC; apply => //; by left.
case: htop => // e; subst sum; rewrite addr_ge0 // mulr_ge0 //.
by have := IH (lexx 0) (or_intror erefl); rewrite add0r.
Qed.

Lemma half_sound x v p : inside x -> top v ->
  (forall y, inside y -> 0 <= evp y (half v false p)) -> (forall y, inside y -> 0 <= evp y (half v true p)) ->
  0 <= evp x p.
Proof.
move=> hx tv low high; have [xv /(_ tv) xt] := hx v.
have two : zr R 2 = 2 by rewrite -[2%coqZ]/(Z.of_nat 2) zr_nat.
have move_to (upper : bool) (t : R) : 0 <= t -> t <= 1 -> 2 * x v = upper%:R + t -> 0 <= evp x p.
  move=> t0 t1 e; pose y := fun j => if j == v then t else x j.
  have hy : inside y by move=> j; rewrite /y; case: (j =P v) => [->|_]; [split | exact: hx].
  have := if upper as u return 0 <= evp y (half v u p) then high y hy else low y hy.
  rewrite (@evp_elim x y) //; first 1 last.
  - rewrite evt_num two expr1 e; case: (upper) => /=; rewrite ?evt_one ?evt_lin zr1 mul1r /y eqxx ?addr0 ?add0r //.
  - by move=> j /negbTE jv; rewrite /y jv.
  - by left.
  by rewrite evt_num two pmulr_rge0 // exprn_gt0 // ltr0n.
case: (leP (2 * x v) 1) => h.
  by apply: (@move_to false (2 * x v)); rewrite ?mulr_ge0 ?add0r // ler0n.
apply: (@move_to true (2 * x v - 1)); rewrite ?subr_ge0 ?(ltW h) //; last by rewrite addrC subrK.
have e2 : 1 + 1 = 2 * 1 :> R by rewrite mulr1.
by rewrite ler_subl_addr e2 ler_pmul2l // ltr0n.
Qed.

Arguments sums : simpl never.
Arguments simpler : simpl never.

Lemma decide_sound n splits budget p x : inside x -> (decide size top n splits budget p).1 -> 0 <= evp x p.
Proof.
elim: n splits budget p x => [|n IH] splits [|budget] p x //= hx.
case E: (foldr _ _ _) => [changed q].
have : 0 <= evp x q -> 0 <= evp x p.
  rewrite -[q]/((changed, q).2) -E; elim: (iota 0 size) => [|v vs IHv] //= /simpler_le h; exact/IHv/h.
move: E => _ hq; case: changed => [/IH/hq //|]; first exact.
case: ifP => [/andP[h1 h2] _|_]; first by apply/hq/(le_trans _ (least_le hx h1)); exact: zr_ge0.
case: ifP => // _; set v := pick _ _ _.
case S: (sums _ _ _ _ _ _ _) => [yes left]; case: yes S => [S _|_].
  apply: hq; have := @sums_sound (decide size top n 0) x v DEGREE (N.pred (N.pos budget)) [::] q hx.
  by rewrite S /= add0r; apply => //; [move=> b r /IH; apply | right].
case: splits => [//|s]; case: ifP => // tv.
case L: (decide _ _ _ _ _ _) => [yes left']; case: yes L => // L U; apply: hq.
apply: (@half_sound x v) => // y hy; first by apply: (IH s left (half v false q)) => //; rewrite L.
exact: (IH s left' (half v true q)).
Qed.

End Box.

Section Sound.
Variables (size : nat) (positives : seq nat) (tops : seq (nat * (Z * Z))).
Variables (defs : seq (nat * nat * pexpr)) (links : seq (nat * nat * (Z * Z))).
Let ratio (b : Z * Z) : R := zr R b.1 / zr R b.2.

Fixpoint rangesP x (n : nat) : Prop := if n is n'.+1 then 0 <= x n' /\ rangesP x n' else True.
Fixpoint positivesP x (vs : seq nat) : Prop := if vs is v :: vs' then 0 < x v /\ positivesP x vs' else True.
Fixpoint topsP x (bs : seq (nat * (Z * Z))) : Prop :=
  if bs is (v, b) :: bs' then x v <= ratio b /\ topsP x bs' else True.
Fixpoint defsP x (ds : seq (nat * nat * pexpr)) : Prop :=
  if ds is (v, h, e) :: ds' then x v ^+ h = ev x e /\ defsP x ds' else True.
Fixpoint linksP x (ks : seq (nat * nat * (Z * Z))) : Prop :=
  if ks is (u, v, b) :: ks' then x u = ratio b - x v /\ linksP x ks' else True.

Lemma positivesE x vs v : positivesP x vs -> v \in vs -> 0 < x v.
Proof. by elim: vs => [|w vs IH] //= [h /IH{}IH]; rewrite inE => /orP[/eqP->|/IH]. Qed.
Lemma is_positive_gt0 x t : positivesP x positives -> is_positive positives t -> 0 < evt x t.
Proof.
move=> hx /andP[h1 h2]; rewrite /evt mulr_gt0 ?zr_gt0 //; move: h2; rewrite /posm.
have gen i m : (forall v, (v < seq.size m)%N -> (get v m == 0%N) || (0 < x (i + v)%N)) -> 0 < evm x i m.
  elim: m i => [|e m IH] i h /=; first by rewrite ltr01.
  rewrite mulr_gt0 ?IH //.
    by have := h 0%N isT; rewrite addn0 /get /= => /orP[/eqP->|]; [rewrite expr0 ltr01 | exact: exprn_gt0].
  by move=> v hv; rewrite addSnnS; apply: (h v.+1).
move/allP=> h; apply: gen => v hv; have := h v; rewrite mem_iota add0n hv => /(_ isT).
by case/orP=> [->|/(positivesE hx) ->]; rewrite ?orbT.
Qed.
Lemma same_eq x s t : same s t -> evt x s = evt x t.
Proof.
case/andP=> /Z.eqb_eq; rewrite /evt => ->; case E: (compare _ _) => // _.
by rewrite (compare_eq x 0 E).
Qed.

Lemma nf_sound x e p t : positivesP x positives -> nf positives e = Some (p, t) ->
  0 < evt x t /\ evp x p = evt x t * ev x e.
Proof.
move=> hx; elim: e p t => [v|c|e IHe f IHf|e IHe|e IHe f IHf|e IHe n|e IHe] p t /=.
- by case=> <- <-; rewrite evt_one ltr01 /= evt_lin zr1 !mul1r addr0.
- case=> <- <-; rewrite evt_one ltr01 mul1r; split=> //.
  by case: Z.eqb_spec => [->|_] /=; rewrite ?zr0 // evt_num addr0.
- case E: (nf _ e) => [[q s]|] //; case F: (nf _ f) => [[r u]|] //.
  case: ifP => // /andP[/andP[/(same_eq x) h1 /(same_eq x) h2] h3] [<- <-].
  have [_ e1] := IHe _ _ E; have [_ e2] := IHf _ _ F.
  split; first exact: is_positive_gt0 h3.
  by rewrite evp_add !evp_scale e1 e2 mulrDr; congr (_ + _); rewrite mulrA -evt_mult ?h1 ?h2.
- case E: (nf _ e) => [[q s]|] // [<- <-]; have [h1 h2] := IHe _ _ E; split=> //.
  by rewrite evp_scale evt_num -[(-1)%coqZ]/(Z.opp 1) zrN zr1 mulN1r h2 mulrN.
- case E: (nf _ e) => [[q s]|] //; case F: (nf _ f) => [[r u]|] // [<- <-].
  have [h1 e1] := IHe _ _ E; have [h2 e2] := IHf _ _ F.
  by rewrite evt_mult evp_mul mulr_gt0 // e1 e2 mulrACA.
- case E: (nf _ e) => [[q s]|] // [<- <-]; have [h1 h2] := IHe _ _ E.
  have -> : evt x (iter n (mult s) one) = evt x s ^+ n.
    by elim: n => [|n IH]; [rewrite evt_one | rewrite iterS evt_mult IH exprS].
  have -> : evp x (iter n (mulp q) [:: one]) = evp x q ^+ n.
    by elim: n => [|n IH]; [rewrite /= evt_one addr0 | rewrite iterS evp_mul IH exprS].
  by rewrite exprn_gt0 // h2 exprMn.
case E: (nf _ e) => [[[|q [|]] s]|] //; case: ifP => // /(is_positive_gt0 hx) h [<- <-].
have [h1 h2] := IHe _ _ E; split=> //; rewrite /= addr0 in h2 *.
have ne : ev x e != 0 by apply: contraTneq h => z; rewrite h2 z mulr0 ltxx.
by rewrite addr0 h2 -mulrA mulfV // mulr1.
Qed.

Lemma defined_sound x ds p q : positivesP x positives -> defsP x ds -> foldr (defined positives) (Some p) ds = Some q ->
  0 <= evp x q -> 0 <= evp x p.
Proof.
move=> hx; elim: ds q => [|[[v h] e] ds IH] q /=; first by move=> _ [->].
case=> hv /IH{}IH; rewrite {1}/defined; case E: (foldr _ _ _) => [r|] //; case F: (nf _ e) => [[w s]|] //.
case: ifP => // h0 [<-] hq; apply: (IH r E); have [s0 ew] := nf_sound hx F.
move: hq; rewrite (@evp_elim x x) ?hv //; first by rewrite pmulr_rge0 // exprn_gt0.
by right.
Qed.

(* the point with other coordinates *)
Definition at_ x v (a : R) : nat -> R := fun j => if j == v then a else x j.
Lemma elim_at x v a q s p : evt x s * x v = evp (at_ x v a) q -> evt (at_ x v a) s = evt x s -> 0 < evt x s ->
  0 <= evp (at_ x v a) (elim v 1 q s p) -> 0 <= evp x p.
Proof.
move=> e es s0; rewrite (@evp_elim x (at_ x v a)) //; first by rewrite es pmulr_rge0 // exprn_gt0.
- by rewrite es expr1.
- by move=> j /negbTE jv; rewrite /at_ jv.
by left.
Qed.
Lemma ratio_mul b : proper (0%N, b) -> zr R b.2 * ratio b = zr R b.1.
Proof. by case/andP=> _ /zr_gt0 h; rewrite /ratio mulrCA mulfV ?mulr1 // gt_eqF. Qed.
Lemma ratio_gt0 b : proper (0%N, b) -> 0 < ratio b.
Proof. by case/andP=> /zr_gt0 h1 /zr_gt0 h2; rewrite /ratio divr_gt0. Qed.

Lemma shrink_sound x bs p : (forall v, 0 <= x v) -> uniq (map fst bs) -> all proper bs -> topsP x bs ->
  exists y, [/\ forall v, 0 <= y v, forall v, v \in map fst bs -> y v <= 1, forall v, v \notin map fst bs -> y v = x v
            & 0 <= evp y (foldr shrink p bs) -> 0 <= evp x p].
Proof.
move=> hx; elim: bs => [|[v b] bs IH] /=; first by exists x.
case/andP=> vn un /andP[hb /IH{}IH] [hv /(IH un)[y [y0 y1 yx yp]]].
have b0 : 0 < ratio b by apply: ratio_gt0.
have yv : y v <= ratio b by rewrite yx.
exists (at_ y v (y v / ratio b)); split.
- by move=> j; rewrite /at_; case: ifP => // _; rewrite divr_ge0 // ltW.
- move=> j; rewrite inE /at_; case: eqP => [_ _|_ /y1] //.
  by rewrite ler_pdivr_mulr // mul1r.
- by move=> j; rewrite inE negb_or /at_ => /andP[/negbTE-> /yx].
move=> h; apply: yp; move: h; rewrite /shrink /=; apply: elim_at; rewrite ?evt_num //=.
  by rewrite evt_lin addr0 /at_ eqxx -(ratio_mul hb) -mulrA [ratio b * _]mulrC divfK ?gt_eqF.
by case/andP: hb => _ /zr_gt0.
Qed.

Lemma decided_sound x bs p : (forall v, 0 <= x v) -> uniq (map fst bs) -> all proper bs -> topsP x bs ->
  (forall v, v \in map fst tops -> v \notin map fst bs -> x v <= 1) -> decided size tops bs p -> 0 <= evp x p.
Proof.
move=> x0 un hb hx rest; rewrite /decided; have [y [y0 y1 yx yp]] := shrink_sound p x0 un hb hx.
move=> /decide_sound h; apply/yp/h => v; split=> // /rest; case E: (v \in map fst bs); first by rewrite y1.
by rewrite yx ?E // => ->.
Qed.


Lemma replaced_sound x (u v : nat) b p : proper (0%N, b) -> u != v -> x u = ratio b - x v ->
  0 <= evp x (replaced (u, v, b) p) -> 0 <= evp x p.
Proof.
case: b => n d hb uv e; have := hb => /andP[_ /zr_gt0 d0].
rewrite /replaced (@evp_elim x x) //; last by right.
  by rewrite evt_num pmulr_rge0 // exprn_gt0.
rewrite expr1 e /= !evt_num evt_lin zrN addr0 mulrBr mulNr; congr (_ - _).
exact: (ratio_mul hb).
Qed.

Lemma topsP_same x y bs : {in map fst bs, y =1 x} -> topsP x bs -> topsP y bs.
Proof.
elim: bs => [|[v b] bs IH] //= same [hv /IH h]; rewrite same ?inE ?eqxx //; split=> //; apply: h => w hw.
by rewrite same // inE hw orbT.
Qed.

Lemma piece_sound x (u v : nat) b bs p (i N : Z) : (forall w, 0 <= x w) -> uniq (map fst bs) -> all proper bs ->
  topsP x bs -> u \notin map fst bs -> v \notin map fst bs ->
  (forall w, w \in map fst tops -> w \notin map fst bs -> [|| w == u, w == v | x w <= 1]) ->
  proper (0%N, b) -> u != v -> x u = ratio b - x v -> Z.leb 0 i && Z.ltb i N ->
  zr R i * ratio b <= zr R N * x v <= (zr R i + 1) * ratio b ->
  decided size tops bs (piece (u, v, b) p i N) -> 0 <= evp x p.
Proof.
case: b => n d x0 un hb hx ub vb rest hr uv e /andP[/Z.leb_le i0 /Z.ltb_lt iN].
have c0 := ratio_gt0 hr; have := ratio_mul hr; have /andP[_ /zr_gt0 d0] := hr.
have N0 : 0 < zr R N by apply/zr_gt0/Z.ltb_lt; lia.
have k0 : 0 < zr R (Z.sub N i) by apply/zr_gt0/Z.ltb_lt; lia.
have kE : zr R (Z.sub N i) = zr R N - zr R i by rewrite -Z.add_opp_r zrD zrN.
rewrite /piece /= => nE; set c := ratio _ in c0 nE e * => /andP[low high] h.
pose t := zr R N * x v / c - zr R i; pose s := zr R N * x u / (zr R (Z.sub N i) * c).
have t01 : 0 <= t <= 1.
  by rewrite /t subr_ge0 ler_pdivl_mulr // low ler_subl_addl ler_pdivr_mulr.
have s01 : 0 <= s <= 1.
  have kc := mulr_gt0 k0 c0; rewrite /s; apply/andP; split; first exact: divr_ge0 (mulr_ge0 (ltW N0) (x0 u)) (ltW kc).
  by rewrite ler_pdivr_mulr // mul1r e kE [(_ - zr R i) * _]mulrBl [_ * (c - _)]mulrBr ler_add2l ler_opp2.
set w := num (Z.mul N d) in h.
have wE y : evt y w = zr R N * zr R d by rewrite evt_num zrM.
have w0 y : 0 < evt y w by rewrite wE mulr_gt0.
have atE y z j a : j != z -> at_ y z a j = y j by rewrite /at_ => /negbTE->.
pose z := at_ x v t; pose y := at_ z u s.
have zx j : j != v -> z j = x j by rewrite /z /at_ => /negbTE->.
have yz j : j != u -> y j = z j by rewrite /y /at_ => /negbTE->.
have zv : z v = t by rewrite /z /at_ eqxx.
have yu : y u = s by rewrite /y /at_ eqxx.
have hu : evt z w * z u = evp y [:: lin u (Z.mul n (Z.sub N i))].
  rewrite wE zx //= evt_lin addr0 zrM yu /s -nE; have := mulr_gt0 k0 c0; move: (zr R (Z.sub N i)) => k kc.
  by rewrite -[zr R d * c * k]mulrA [c * k]mulrC -[RHS]mulrA [_ * (_ / _)]mulrC divfK ?gt_eqF // [RHS]mulrCA mulrA.
have hv : evt x w * x v = evp z (if Z.eqb i 0 then [:: lin v n] else [:: num (Z.mul i n); lin v n]).
  rewrite wE; transitivity (zr R i * zr R n + zr R n * t).
    have tE : zr R i + t = zr R N * x v / c by rewrite /t addrC subrK.
    by rewrite [zr R n * t]mulrC -mulrDl tE -nE [zr R d * c]mulrC [RHS]mulrA divfK ?gt_eqF // mulrAC.
  by case: Z.eqb_spec => [->|_]; rewrite /= ?evt_num evt_lin zv ?zr0 ?zrM ?mul0r ?add0r addr0.
have y0 j : 0 <= y j.
  rewrite /y /z /at_; case: ifP => _; first by case/andP: s01.
  by case: ifP => _ //; case/andP: t01.
have same : {in map fst bs, y =1 x}.
  move=> j hj; rewrite yz ?zx //; first by apply: contraNneq vb => <-.
  by apply: contraNneq ub => <-.
have y1 j : j \in map fst tops -> j \notin map fst bs -> y j <= 1.
  move=> h1 /(rest j h1); case: (j =P u) => [-> _|/eqP ju]; first by rewrite yu; case/andP: s01.
  case: (j =P v) => [-> _|/eqP jv /=]; first by rewrite yz ?zv; [case/andP: t01 | rewrite eq_sym].
  by rewrite yz // zx.
have hy := decided_sound y0 un hb (topsP_same same hx) y1 h.
apply: (elim_at hv _ (w0 x)); first by rewrite !wE.
by apply: (elim_at hu _ (w0 z)); first by rewrite !wE.
Qed.

Lemma pieces_sound x (u v : nat) b bs p (halvings : nat) (i N : Z) : (forall w, 0 <= x w) -> uniq (map fst bs) ->
  all proper bs -> topsP x bs -> u \notin map fst bs -> v \notin map fst bs ->
  (forall w, w \in map fst tops -> w \notin map fst bs -> [|| w == u, w == v | x w <= 1]) ->
  proper (0%N, b) -> u != v -> x u = ratio b - x v -> Z.leb 0 i && Z.ltb i N ->
  zr R i * ratio b <= zr R N * x v <= (zr R i + 1) * ratio b ->
  on_pieces size tops (u, v, b) bs p halvings i N -> 0 <= evp x p.
Proof.
move=> x0 un hb hx ub vb rest hr uv e; have here := piece_sound x0 un hb hx ub vb rest hr uv e.
elim: halvings i N => [|h IH] i N iN within /=; case: ifP => [ok _|_] //; try exact: here iN within ok.
case: ifP => // low high; case/andP: iN => /Z.leb_le i0 /Z.ltb_lt iN.
have two c : zr R (Z.mul 2 c) = zr R c + zr R c by rewrite -zrD; congr (zr R _); lia.
have one_more c : zr R (Z.succ c) = zr R c + 1 by rewrite -Z.add_1_r zrD zr1.
case/andP: within => below above; case: (leP (zr R (Z.mul 2 N) * x v) ((zr R (Z.mul 2 i) + 1) * ratio b)) => side.
  have in2 : Z.leb 0 (Z.mul 2 i) && Z.ltb (Z.mul 2 i) (Z.mul 2 N).
    by apply/andP; split; [apply/Z.leb_le | apply/Z.ltb_lt]; lia.
  apply: IH in2 _ low.
  by rewrite side andbT !two ![(_ + zr R _) * _]mulrDl ler_add.
have in2 : Z.leb 0 (Z.succ (Z.mul 2 i)) && Z.ltb (Z.succ (Z.mul 2 i)) (Z.mul 2 N).
  by apply/andP; split; [apply/Z.leb_le | apply/Z.ltb_lt]; lia.
apply: IH in2 _ high.
rewrite one_more (ltW side) /= !two.
have -> : zr R i + zr R i + 1 + 1 = (zr R i + 1) + (zr R i + 1) by rewrite -[LHS]addrA addrACA.
by rewrite [(_ + (zr R i + 1)) * _]mulrDl [(zr R N + _) * _]mulrDl ler_add.
Qed.

Lemma evp_small x y p : small size p -> (forall v, (v < size)%N -> y v = x v) -> evp y p = evp x p.
Proof.
move=> h same; elim: p h => [|t p IH] //= /andP[z /IH->]; congr (_ + _); rewrite /evt; congr (_ * _).
suff gen i m : (forall v, (i <= v < size)%N -> y v = x v) -> zerom (drop (size - i) m) -> evm y i m = evm x i m.
  by apply: gen; [move=> v /andP[_ /same] | rewrite subn0].
elim: m i => [|e m IHm] i //= hi hz; case: (ltnP i size) => si.
  rewrite hi ?leqnn // IHm // => [v /andP[iv vs]|]; first by rewrite hi // vs ltnW.
  by move: hz; rewrite -(subnSK si).
have : zerom (e :: m) by move: hz; rewrite (eqP (_ : size - i == 0))%N // subn_eq0.
by move=> hz'; rewrite -/(evm y i (e :: m)) -/(evm x i (e :: m)) !evm_zero.
Qed.

Arguments on_pieces : simpl never.

Lemma linked_sound x p ks : (forall v, 0 <= x v) -> uniq (map fst tops) -> all proper tops -> topsP x tops ->
  all (fun k : nat * nat * (Z * Z) => proper (k.1.1, k.2) && (k.1.1 != k.1.2)) ks -> linksP x ks ->
  linked size tops p ks -> 0 <= evp x p.
Proof.
move=> x0 un hb hx; elim: ks => [|[[u v] b] ks IH] //= /andP[/andP[hr uv] /IH{}IH] [e /IH{}IH].
case: ifP => [h _|_].
  by apply: (replaced_sound hr uv e); apply: decided_sound h => // w -> .
case: ifP => [h _|_ /IH //].
set f := fun w => (w != u) && (w != v).
have fE : map fst [seq b <- tops | f b.1] = filter f (map fst tops) by rewrite filter_map.
apply: (pieces_sound x0 _ _ _ _ _ _ hr uv e _ _ h) => //; rewrite ?fE ?mem_filter /f ?eqxx ?andbF //.
- exact: filter_uniq.
- by move: hb; elim: (tops) => //= b' bs IHb /andP[h1 /IHb h2]; case: ifP => //= _; rewrite h1.
- by move: hx; elim: (tops) => //= [[w b']] bs IHb [h1 /IHb h2]; case: ifP.
- move=> w hw; rewrite mem_filter hw andbT negb_and !negbK => /orP[->|->]; by rewrite ?orbT.
by rewrite zr0 zr1 mul0r !mul1r add0r mul1r x0 /= -subr_ge0 -e x0.
Qed.

Theorem bound_sound x l r :
  rangesP x size -> positivesP x positives -> topsP x tops -> defsP x defs -> linksP x links ->
  bound size positives tops defs links l r = true -> ev x l <= ev x r.
Proof.
move=> hr hp ht hd hl; rewrite /bound; case E: (nf _ _) => [[p t]|] //; case F: (foldr _ _ _) => [q|] //.
case: ifP => // /andP[sm wf] ok.
have [t0 pE] := nf_sound hp E; rewrite -subr_ge0 -(pmulr_rge0 _ t0) -pE.
have cat a b : defsP x a -> defsP x b -> defsP x (a ++ b) by elim: a => [|[[v h] e] a IH] //= [? /IH both] /both.
have {hd}dd := cat _ _ hd hd.
apply: (defined_sound hp dd F).
pose y v := if (v < size)%N then x v else 0.
have yx v : (v < size)%N -> y v = x v by rewrite /y => ->.
rewrite -(evp_small sm yx).
have y0 v : 0 <= y v.
  rewrite /y; case: ltnP => // vs; elim: (size) hr vs => [|n IH] //= [h0 /IH{}IH]; rewrite ltnS leq_eqVlt.
  by case/orP=> [/eqP->|/IH].
case/and3P: wf => wt un wl.
have hb : all proper tops by apply: sub_all wt => b /andP[].
have yt : topsP y tops.
  by move: ht wt; elim: (tops) => [|[v b] bs IH] //= [h /IH{}IH] /andP[/andP[_ vs] /IH]; rewrite yx.
have yl : linksP y links.
  move: hl wl; elim: (links) => [|[[u v] b] ks IH] //= [h /IH{}IH] /andP[/and4P[_ _ us vs] /IH].
  by rewrite !yx.
move: ok; case: ifP => [h _|_].
  by apply: decided_sound h => // w -> .
apply: linked_sound => //; apply: sub_all wl => k /and4P[-> -> _ _] //.
Qed.


End Sound.
End Values.
